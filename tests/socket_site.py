"""An app with a WebSocket, for servers that run it in processes of their own."""

import os
from dataclasses import replace

from starlette.types import Receive, Scope, Send

from chirp import ASGISessionMiddleware
from chirp.middleware.sessions import RedisSessionStore, SessionConfig


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Count the WebSockets of a session; begin one over HTTP."""
    if scope["type"] == "lifespan":
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})
    elif scope["type"] == "http":
        scope["session"]["count"] = 0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
    else:
        session = scope["session"]
        session["count"] = session.get("count", 0) + 1
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(session["count"])})
        await receive()


config = SessionConfig(secret_key="for tests alone, and long enough")
store = RedisSessionStore(config, os.environ["PROCESS_SITE_REDIS_URL"], os.environ["PROCESS_SITE_KEY_PREFIX"])
app = ASGISessionMiddleware(count, replace(config, store=store))
