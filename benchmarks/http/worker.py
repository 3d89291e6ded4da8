"""The server: one uvicorn worker with one contender's app. `python -m benchmarks.http.worker`, told what by its stdin.

It writes a line when it listens, and one with the number of requests it has served when it ends. It ends as soon as its
stdin is closed: by whoever started it, or with that process.
"""

import asyncio
import importlib
import json
import socket
import sys
from typing import TypedDict

import uvicorn

from benchmarks.contenders.asgi_requests import AsgiRequests, KeptInMemory
from benchmarks.http.kept import kept_by_cookie

HOST = "127.0.0.1"


class Job(TypedDict):
    """What stdin says, in one line of JSON.

    Attributes:
        contender: the class as "module:Class".
        redis_url: the server of the run.
        key_prefix: of all keys.
    """

    contender: str
    redis_url: str
    key_prefix: str


class Worker(uvicorn.Server):
    """A uvicorn server that says when it listens and ends when its stdin does."""

    def __init__(self, contender: AsgiRequests) -> None:
        app = contender._app  # noqa: SLF001 - the one that the contender itself asks in process
        if isinstance(contender, KeptInMemory):
            app = kept_by_cookie(app)
        # Everything else as the command `uvicorn` has it: uvloop and httptools where they are installed.
        # It also binds, as there: to a socket of ours, asyncio would leave Nagle's delay of 40 ms.
        super().__init__(uvicorn.Config(app, host=HOST, port=0, access_log=False, log_level="warning"))
        self._contender = contender

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_reader(sys.stdin, self._end)
        say(port=self.servers[0].sockets[0].getsockname()[1], description=self._contender.description)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._contender.close()


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    job: Job = json.loads(sys.stdin.readline())
    module, _, name = job["contender"].partition(":")
    worker = Worker(getattr(importlib.import_module(module), name)(job["redis_url"], job["key_prefix"]))
    worker.run()
    say(served=worker.server_state.total_requests)


if __name__ == "__main__":
    main()
