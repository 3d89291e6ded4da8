"""What stands around an endpoint in Starlette: other middlewares, threads, tasks, mounts, the lifespan."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from how_to_kit import connections_at
from process_kit import until
from servers import StartServer
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import (
    ASGISessionMiddleware,
    MemorySessionStore,
    RedisSessionStore,
    SessionClosed,
    get_session,
)


async def look(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.session))


def put(**values: Any) -> None:
    get_session().update(values)


def site(*routes: Any, outside: tuple[Middleware, ...] = (), inside: tuple[Middleware, ...] = ()) -> TestClient:
    ours = Middleware(ASGISessionMiddleware, config=replace(CONFIG, store=MemorySessionStore(CONFIG)))
    return TestClient(Starlette(routes=[Route("/look", look), *routes], middleware=[*outside, ours, *inside]))


def base(dispatch: Any) -> tuple[Middleware, ...]:
    return (Middleware(BaseHTTPMiddleware, dispatch=dispatch),)


def stored_by(client: TestClient, path: str = "/") -> Any:
    """Visit a path, and return what the next request finds."""
    assert client.get(path).status_code == 200
    return client.get("/look").json()


async def sets_endpoint(request: Request) -> Response:
    put(endpoint=1)
    return Response()


def test_a_middleware_inside_changes_the_session_before_and_after_the_endpoint() -> None:
    """What `call_next` returns has not begun for those outside: both changes are stored with the endpoint's."""

    async def around(request: Request, call_next: Any) -> Any:
        if request.url.path != "/":
            return await call_next(request)
        put(before=1)
        response = await call_next(request)
        request.session["after"] = get_session()["endpoint"]
        return response

    client = site(Route("/", sets_endpoint), inside=base(around))
    assert stored_by(client) == {"before": 1, "endpoint": 1, "after": 1}


def test_a_middleware_outside_finds_the_session_stored_already() -> None:
    """Before the endpoint there is none; after it, `request.session` can be read, and `get_session()` has none."""
    seen: list[Any] = []

    async def around(request: Request, call_next: Any) -> Any:
        if request.url.path != "/":
            return await call_next(request)
        seen.append("session" in request.scope)
        response = await call_next(request)
        seen.append(request.session["endpoint"])
        with pytest.raises(LookupError):
            get_session()
        with pytest.raises(SessionClosed):
            request.session["after"] = 1
        return response

    assert stored_by(site(Route("/", sets_endpoint), outside=base(around))) == {"endpoint": 1}
    assert seen == [False, 1]


async def pass_on(request: Request, call_next: Any) -> Any:
    return await call_next(request)


async def stream(request: Request) -> Response:
    put(endpoint=1)

    async def parts() -> AsyncIterator[str]:
        for _ in range(3):
            yield str(get_session()["endpoint"])

    return StreamingResponse(parts())


NEAR = {"base": base(pass_on), "gzip": (Middleware(GZipMiddleware, minimum_size=0),)}


@pytest.mark.parametrize("neighbour", NEAR)
@pytest.mark.parametrize("place", ["outside", "inside"])
def test_a_stream_through_a_neighbour_reads_the_session(neighbour: str, place: str) -> None:
    """To its end, and what changed before it began is stored."""
    client = site(Route("/", stream), **{place: NEAR[neighbour]})
    assert client.get("/").text == "111"
    assert client.get("/look").json() == {"endpoint": 1}


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_a_compressed_response_sets_the_cookie_and_names_both_that_it_varies_by(place: str) -> None:
    """Neither takes the other's header away."""
    answer = site(Route("/", sets_endpoint), **{place: NEAR["gzip"]}).get("/")
    varies = {part.strip() for value in answer.headers.get_list("vary") for part in value.split(",")}
    assert (varies, "chirp_session" in answer.cookies) == ({"Accept-Encoding", "Cookie"}, True)


async def in_a_thread(request: Request) -> Response:
    await run_in_threadpool(put, thread=1)
    return Response()


async def in_tasks(request: Request) -> Response:
    async def child(name: str) -> None:
        put(**{name: 1})

    async with asyncio.TaskGroup() as tasks:
        for name in ("first", "second"):
            tasks.create_task(child(name))
    return Response()


class ByMethod(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        put(endpoint=1)
        return Response()


@pytest.mark.parametrize(
    ("endpoint", "stored"),
    [(in_a_thread, {"thread": 1}), (in_tasks, {"first": 1, "second": 1}), (ByMethod, {"endpoint": 1})],
    ids=["thread", "tasks", "class"],
)
def test_get_session_is_the_requests_wherever_it_is_called(endpoint: Any, stored: dict[str, Any]) -> None:
    """What is changed there is stored."""
    assert stored_by(site(Route("/", endpoint))) == stored


def test_files_of_a_mount_are_served_without_a_word_of_the_session(tmp_path: Path) -> None:
    """Caches may keep them for all browsers, also those with a session."""
    (tmp_path / "site.css").write_text("body {}")
    client = site(Route("/", sets_endpoint), Mount("/static", StaticFiles(directory=tmp_path)))
    client.get("/")
    answer = client.get("/static/site.css")
    assert answer.text == "body {}"
    assert not {"vary", "set-cookie", "cache-control"} & set(answer.headers)


def test_a_late_change_inside_a_value_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """In a background task nothing else could tell of it."""

    async def endpoint(request: Request) -> Response:
        request.session["cart"] = cart = []
        return Response(background=BackgroundTask(cart.append, 1))

    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        assert stored_by(site(Route("/", endpoint))) == {"cart": []}
    (record,) = caplog.records
    assert "the change is lost" in record.getMessage()


@pytest.fixture
def redis_site(own_server: StartServer) -> tuple[Starlette, str]:
    """An app on a server of its own, and the server's URL."""
    url = own_server().url
    config = replace(CONFIG, store=RedisSessionStore(CONFIG, url))
    app = Starlette(routes=[Route("/", sets_endpoint)], middleware=[Middleware(ASGISessionMiddleware, config=config)])
    return app, url


def test_the_end_of_the_lifespan_closes_the_connections(redis_site: tuple[Starlette, str]) -> None:
    """The server has none of the app's any more."""
    app, url = redis_site
    with TestClient(app) as client:
        client.get("/")
        assert connections_at(url) >= 1
    until(lambda: connections_at(url) == 0)
