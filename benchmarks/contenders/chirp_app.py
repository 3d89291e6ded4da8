"""One chirp.App: without sessions, and with this package's middleware for it, with sessions on Redis."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp

from benchmarks.contenders.asgi_requests import AsgiRequests, KeptInMemory, seen
from benchmarks.contenders.contender import SECRET
from benchmarks.sessions import first_session
from chirp import App
from chirp.middleware.sessions import RedisSessionStore, SessionConfig, SessionMiddleware, get_session


def app_of(session_of: Callable[[Request], dict[str, Any]]) -> App:
    """Return an app whose handlers get the session in this way."""
    app = App()

    @app.route("/begin")
    async def begin(request: Request) -> Response:
        query = request.query_params
        session_of(request).update(first_session(int(query["task"]), int(query["payload_bytes"])))
        return PlainTextResponse("begun")

    @app.route("/read")
    async def read(request: Request) -> Response:
        return PlainTextResponse(seen(session_of(request)))

    @app.route("/change")
    async def change(request: Request) -> Response:
        session = session_of(request)
        session["count"] += 1
        return PlainTextResponse(seen(session))

    @app.route("/show")
    async def show(request: Request) -> Response:
        return JSONResponse(dict(session_of(request)))

    return app


class AppBare(KeptInMemory):
    name = "chirp.App, no sessions"
    description = "chirp.App without session middleware; request.session is a dict of the benchmark's, kept in memory"

    def _make_app(self) -> ASGIApp:
        return app_of(lambda request: request.session)


class AppSessions(AsgiRequests):
    name = "chirp.App on Redis"
    description = "chirp.App with SessionMiddleware(config) and RedisSessionStore(config, url)"

    def _make_app(self) -> ASGIApp:
        config = SessionConfig(secret_key=SECRET)
        self._store = RedisSessionStore(config, self.redis_url, self.key_prefix)
        app = app_of(lambda _: get_session())
        app.add_middleware(SessionMiddleware(replace(config, store=self._store)))
        return app

    async def close(self) -> None:
        await self._store.aclose()
