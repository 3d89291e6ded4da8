"""An app for servers that run it in processes of their own; where its sessions are is in the environment."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.responses import StreamingResponse

from chirp import App, get_session
from chirp.middleware.sessions import RedisSessionStore, SessionConfig, SessionMiddleware

VERSION = 1

config = SessionConfig(secret_key="for tests alone, and long enough", close_ended=True)
store = RedisSessionStore(config, os.environ["PROCESS_SITE_REDIS_URL"], os.environ["PROCESS_SITE_KEY_PREFIX"])
app = App()
app.add_middleware(SessionMiddleware(replace(config, store=store)))


@app.route("/count", methods=["POST"])
async def count() -> dict[str, int]:
    """Count the visits of a session, and tell which process has answered."""
    session = get_session()
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"], "pid": os.getpid(), "version": VERSION}


@app.route("/events")
async def events() -> StreamingResponse:
    """Send one event, and then none."""

    async def body() -> AsyncIterator[str]:
        yield "data: 1\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(body(), media_type="text/event-stream")
