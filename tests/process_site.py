"""An app for servers that run it in processes of their own; where its sessions are is in the environment."""

import os
from dataclasses import replace

from chirp import App, get_session
from chirp.middleware.sessions import RedisSessionStore, SessionConfig, SessionMiddleware

VERSION = 1

config = SessionConfig(secret_key="for tests alone, and long enough")
store = RedisSessionStore(config, os.environ["PROCESS_SITE_REDIS_URL"], os.environ["PROCESS_SITE_KEY_PREFIX"])
app = App()
app.add_middleware(SessionMiddleware(replace(config, store=store)))


@app.route("/count", methods=["POST"])
async def count() -> dict[str, int]:
    """Count the visits of a session, and tell which process has answered."""
    session = get_session()
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"], "pid": os.getpid(), "version": VERSION}
