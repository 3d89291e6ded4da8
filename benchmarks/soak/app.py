"""The app under soak: one set of handlers under both fronts, on one node or behind Sentinel."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.contenders.asgi_requests import AsgiRequests
from benchmarks.contenders.contender import SECRET
from benchmarks.sentinel import NAME
from benchmarks.soak.settings import TIMEOUT_SECONDS
from chirp import App
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    RedisSessionStore,
    SessionConfig,
    SessionMiddleware,
    get_session,
    regenerate_session,
    rotate_session,
)

SENTINELS = "sentinels:"
TOUCH_SECONDS = 5.0  # so that touches come along as well

Handler = Callable[[Request], Awaitable[Response]]


async def login(request: Request) -> Response:
    session = regenerate_session()
    session["marker"] = request.query_params["marker"]
    return JSONResponse(dict(session))


async def read(_: Request) -> Response:
    session = get_session()
    return JSONResponse(dict(session), 200 if session else 401)


async def change(request: Request) -> Response:
    session = get_session()
    if not session:
        return JSONResponse({}, 401)
    session[request.query_params["key"]] = int(request.query_params["value"])
    return JSONResponse(dict(session))


async def rotate(_: Request) -> Response:
    session = get_session()
    if not session:
        return JSONResponse({}, 401)
    rotate_session()
    return JSONResponse(dict(session))


async def logout(_: Request) -> Response:
    session = get_session()
    if not session:
        return JSONResponse({}, 401)
    session.clear()
    return JSONResponse({})


HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("/read", "GET", read),
    ("/login", "POST", login),
    ("/change", "POST", change),
    ("/rotate", "POST", rotate),
    ("/logout", "POST", logout),
)


class SoakApp(AsgiRequests):
    """What `benchmarks.http.worker` serves."""

    name = "soak"

    def _make_app(self) -> ASGIApp:
        self._config = SessionConfig(secret_key=SECRET, touch_interval_seconds=TOUCH_SECONDS)
        if self.redis_url.startswith(SENTINELS):
            self._store = RedisSessionStore(
                self._config, client=self._make_client, key_prefix=self.key_prefix, timeout_seconds=TIMEOUT_SECONDS
            )
        else:
            self._store = RedisSessionStore(
                self._config, self.redis_url, self.key_prefix, timeout_seconds=TIMEOUT_SECONDS
            )
        return self._front(replace(self._config, store=self._store))

    def _make_client(self) -> Redis:
        places = (place.split(":") for place in self.redis_url.removeprefix(SENTINELS).split(","))
        client: Redis = Sentinel([(host, int(port)) for host, port in places]).master_for(NAME)
        return client

    def _front(self, config: SessionConfig) -> ASGIApp:
        raise NotImplementedError

    async def close(self) -> None:
        await self._store.aclose()


class UnderStarlette(SoakApp):
    description = "Starlette with ASGISessionMiddleware"

    def _front(self, config: SessionConfig) -> ASGIApp:
        routes = [Route(path, handler, methods=[method]) for path, method, handler in HANDLERS]
        return Starlette(routes=routes, middleware=[Middleware(ASGISessionMiddleware, config=config)])


class UnderApp(SoakApp):
    description = "chirp.App with SessionMiddleware"

    def _front(self, config: SessionConfig) -> ASGIApp:
        app = App()
        app.add_middleware(SessionMiddleware(config))
        for path, method, handler in HANDLERS:
            app.route(path, methods=[method])(handler)
        return app


FRONTS = ("benchmarks.soak.app:UnderStarlette", "benchmarks.soak.app:UnderApp")
