"""Startup, shutdown and the closing of middlewares."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from chirp.app import App
from chirp.errors import ConfigurationError
from chirp.middleware.protocol import AnyResponse, Next


class Closing:
    """A middleware with something to close."""

    def __init__(self, order: list[str], name: str) -> None:
        self.order = order
        self.name = name

    async def __call__(self, request: Request, following: Next) -> AnyResponse:
        return await following(request)

    async def aclose(self) -> None:
        self.order.append(f"closed {self.name}")


def serve(app: App) -> None:
    with TestClient(app):
        pass


def test_sync_and_async_hooks_run_once_around_serving() -> None:
    """Startup hooks run in the order of their registration, shutdown hooks in reverse."""
    order: list[str] = []
    app = App()

    @app.on_startup
    def first() -> None:
        order.append("start 1")

    @app.on_startup
    async def second() -> None:
        order.append("start 2")

    app.on_shutdown(lambda: order.append("stop 1"))

    @app.on_shutdown
    async def last() -> None:
        order.append("stop 2")

    with TestClient(app):
        order.append("serving")
    assert order == ["start 1", "start 2", "serving", "stop 2", "stop 1"]


def test_a_lifespan_is_open_around_the_hooks() -> None:
    """It gets the app, and what it opened is there for the hooks at both ends."""
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.order = order
        order.append("open")
        yield
        order.append("close")

    app = App(lifespan=lifespan)
    app.on_startup(lambda: app.state.order.append("start"))
    app.on_shutdown(lambda: app.state.order.append("stop"))
    serve(app)
    assert order == ["open", "start", "stop", "close"]


def test_what_a_lifespan_yields_is_the_state_of_requests() -> None:
    """As under Starlette, the mapping fills `request.state`."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": "opened"}

    app = App(lifespan=lifespan)
    app.route("/")(lambda request: request.state.pool)
    with TestClient(app) as client:
        assert client.get("/").text == "opened"


def test_a_lifespan_without_its_decorator_is_refused() -> None:
    """A bare async generator function is the likely mistake."""

    async def lifespan(app: App) -> AsyncIterator[None]:
        yield

    with pytest.raises(ConfigurationError, match=r"decorate it with contextlib[.]asynccontextmanager"):
        App(lifespan=lifespan)  # type: ignore[arg-type]


def test_shutdown_closes_the_middlewares_in_reverse_after_the_hooks() -> None:
    """A hook and a lifespan may still use what a middleware owns."""
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        order.append("lifespan")

    app = App(lifespan=lifespan)
    app.add_middleware(Closing(order, "outer"))
    app.add_middleware(Closing(order, "inner"))
    app.on_shutdown(lambda: order.append("hook"))
    serve(app)
    assert order == ["hook", "lifespan", "closed inner", "closed outer"]


def test_a_failing_shutdown_hook_stops_neither_the_others_nor_the_closing() -> None:
    """Its error reaches the server all the same."""
    order: list[str] = []
    app = App()
    app.add_middleware(Closing(order, "middleware"))
    app.on_shutdown(lambda: order.append("hook"))

    @app.on_shutdown
    async def failing() -> None:
        raise ValueError("stuck")

    with pytest.raises(ValueError, match="stuck"):
        serve(app)
    assert order == ["hook", "closed middleware"]


def test_a_middleware_that_fails_to_close_leaves_the_others_closed() -> None:
    """One broken connection does not leak the rest."""

    class Failing(Closing):
        async def aclose(self) -> None:
            raise ValueError("stuck")

    order: list[str] = []
    app = App()
    app.add_middleware(Closing(order, "outer"))
    app.add_middleware(Failing(order, "inner"))
    with pytest.raises(ValueError, match="stuck"):
        serve(app)
    assert order == ["closed outer"]


def test_a_failing_startup_hook_closes_the_middlewares_and_runs_no_shutdown_hook() -> None:
    """What did not start is not stopped; what was made is closed."""
    order: list[str] = []
    app = App()
    app.add_middleware(Closing(order, "middleware"))
    app.on_shutdown(lambda: order.append("hook"))

    @app.on_startup
    def failing() -> None:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        serve(app)
    assert order == ["closed middleware"]


def test_a_startup_hook_may_add_a_middleware() -> None:
    """It serves and is closed like any other."""
    order: list[str] = []
    app = App()
    app.on_startup(lambda: app.add_middleware(Closing(order, "late")))
    serve(app)
    assert order == ["closed late"]


def test_a_middleware_added_after_startup_is_refused() -> None:
    """Even before the first request: the server may already be handing one over."""
    app = App()
    with TestClient(app), pytest.raises(ConfigurationError, match="after the app had started serving"):
        app.add_middleware(Closing([], "too late"))
