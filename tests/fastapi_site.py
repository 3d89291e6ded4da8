"""A FastAPI app, for servers that run it in processes of their own."""

import os
from dataclasses import replace

from fastapi import FastAPI

from chirp import ASGISessionMiddleware
from chirp.fastapi import CurrentSession
from chirp.middleware.sessions import RedisSessionStore, SessionConfig

config = SessionConfig(secret_key="for tests alone, and long enough")
store = RedisSessionStore(config, os.environ["PROCESS_SITE_REDIS_URL"], os.environ["PROCESS_SITE_KEY_PREFIX"])
app = FastAPI()
app.add_middleware(ASGISessionMiddleware, config=replace(config, store=store))


@app.post("/count")
async def count(session: CurrentSession) -> dict[str, int]:
    """Count the visits of a session, and tell which process has answered."""
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"], "pid": os.getpid()}
