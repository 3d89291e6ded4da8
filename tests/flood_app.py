"""A process that serves sessions on Redis: it writes its port, and ends with its stdin. See `flood`."""

import asyncio
import socket
import sys

import uvicorn
from starlette.types import Receive, Scope, Send

from chirp.middleware.sessions import ASGISessionMiddleware, RedisSessionStore, SessionConfig

CONFIG = SessionConfig(secret_key="for tests alone, and long enough")


async def look(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with nothing, after a look into the session."""
    if scope["type"] == "http":
        empty = not scope["session"]
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200 if empty else 409, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(sys.stdin, self._end)
        sys.stdout.write(f"{self.servers[0].sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        self.should_exit = True


if __name__ == "__main__":
    store = RedisSessionStore(CONFIG, sys.argv[1], timeout_seconds=20)  # a busy machine is no outage
    app = ASGISessionMiddleware(look, SessionConfig(CONFIG.secret_key, store=store))
    settings = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", access_log=False, log_level="warning")
    Server(settings).run()
