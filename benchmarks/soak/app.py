"""The app under soak: one set of handlers under both fronts, on one node, behind Sentinel or on a cluster."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.sentinel import Sentinel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.contenders.asgi_requests import AsgiRequests
from benchmarks.contenders.contender import SECRET
from benchmarks.sentinel import HOST, NAME
from benchmarks.soak.settings import GRACE_SECONDS, TIMEOUT_SECONDS
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

SENTINELS = "sentinels "
NODES = "nodes "
TOUCH_SECONDS = 5.0  # so that touches come along as well

Handler = Callable[[Request], Awaitable[Response]]


async def login(request: Request) -> Response:
    session = regenerate_session()
    session["marker"] = request.query_params["marker"]
    return JSONResponse(dict(session))


def signed_in(act: Callable[[Request], object]) -> Handler:
    """Return a handler that acts and shows the session, or answers 401 where there is none."""

    async def handler(request: Request) -> Response:
        session = get_session()
        if not session:
            return JSONResponse({}, 401)
        act(request)
        return JSONResponse(dict(session))

    return handler


def look(_: Request) -> None:
    """The session is shown anyway."""


def change(request: Request) -> None:
    get_session()[request.query_params["key"]] = int(request.query_params["value"])


def rotate(_: Request) -> None:
    rotate_session()


def renew(_: Request) -> None:
    rotate_session(follow=True)


def log_out(_: Request) -> None:
    get_session().clear()


HANDLERS: tuple[tuple[str, str, Handler], ...] = (
    ("/read", "GET", signed_in(look)),
    ("/login", "POST", login),
    ("/change", "POST", signed_in(change)),
    ("/rotate", "POST", signed_in(rotate)),
    ("/renew", "POST", signed_in(renew)),
    ("/logout", "POST", signed_in(log_out)),
)


class SoakApp(AsgiRequests):
    """What `benchmarks.http.worker` serves."""

    name = "soak"

    def _make_app(self) -> ASGIApp:
        self._config = SessionConfig(
            secret_key=SECRET, touch_interval_seconds=TOUCH_SECONDS, rotation_grace_seconds=GRACE_SECONDS
        )
        where: dict[str, Any] = {"redis_url": self.redis_url}
        if self.redis_url.startswith((SENTINELS, NODES)):
            where = {"client": self._make_client}
        self._store = RedisSessionStore(
            self._config, key_prefix=self.key_prefix, timeout_seconds=TIMEOUT_SECONDS, **where
        )
        return self._front(replace(self._config, store=self._store))

    def _make_client(self) -> Redis | RedisCluster:
        if self.redis_url.startswith(NODES):
            return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in places_in(self.redis_url)])
        client: Redis = Sentinel(places_in(self.redis_url)).master_for(NAME)
        return client

    def _front(self, config: SessionConfig) -> ASGIApp:
        raise NotImplementedError

    async def close(self) -> None:
        await self._store.aclose()


def written(kind: str, ports: Iterable[int]) -> str:
    """Return what stands in place of a URL for several processes on loopback."""
    return kind + ",".join(map(str, ports))


def places_in(text: str) -> list[tuple[str, int]]:
    return [(HOST, int(port)) for port in text.partition(" ")[2].split(",")]


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
