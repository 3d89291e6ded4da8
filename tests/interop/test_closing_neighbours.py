"""`close_ended` together with Starlette's own middlewares, inside ours and outside."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from open_connections import held
from session_kit import WatchedStore, config_with, stored_session
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from chirp import ASGISessionMiddleware
from chirp.testing import Browser

pytestmark = pytest.mark.anyio

PLACES = pytest.mark.parametrize("place", ["inside", "outside", "both"])
NEIGHBOURS = pytest.mark.parametrize("neighbour", ["base", "gzip"])


async def pass_on(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


class Site:
    """Streams and sockets that begin and then wait, with a neighbour around and inside the sessions.

    Attributes:
        log: what the handlers tell of their ends.
    """

    def __init__(self, neighbour: str, place: str) -> None:
        self.log: list[str] = []
        self.store = WatchedStore(config_with(close_ended=True))
        ours = Middleware(ASGISessionMiddleware, config=replace(self.store.config, store=self.store))
        near = (
            Middleware(BaseHTTPMiddleware, dispatch=pass_on)
            if neighbour == "base"
            else Middleware(GZipMiddleware, minimum_size=0)
        )
        outside, inside = [near] * (place != "inside"), [near] * (place != "outside")
        routes = [Route("/events", self.events), Route("/csv", self.csv), WebSocketRoute("/socket", self.socket)]
        self.app = Starlette(routes=routes, middleware=[*outside, ours, *inside])

    async def body(self) -> AsyncIterator[str]:
        try:
            yield "data: 1\n\n" * 100
            await asyncio.Event().wait()
        finally:
            self.log.append("closed")

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self.body(), media_type="text/event-stream")

    async def csv(self, request: Request) -> Response:
        return StreamingResponse(self.body(), media_type="text/csv")

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        with pytest.raises(WebSocketDisconnect):
            await socket.receive_text()
        self.log.append("closed")

    async def end(self, cookie: str) -> None:
        await Browser(self.store, cookie).visit(lambda session: session.clear())


@NEIGHBOURS
@PLACES
async def test_events_end_whole(neighbour: str, place: str) -> None:
    """With the session, and so does what makes them."""
    site = Site(neighbour, place)
    cookie = await stored_session(site.store, {"a": 1})
    async with held(site.app, "http", cookie, "/events") as connection:
        await connection.until_body()
        await site.end(cookie)
        await connection.ended()
    assert connection.sent[-1].get("more_body", False) is False
    assert site.log == ["closed"]


async def last_of_a_download(site: Site) -> dict[str, Any]:
    """End the session in the middle of it; return the last message that the server got."""
    cookie = await stored_session(site.store, {"a": 1})
    async with held(site.app, "http", cookie, "/csv") as connection:
        await connection.until_body()
        await site.end(cookie)
        await connection.ended()
    assert site.log == ["closed"]
    return connection.sent[-1]


@pytest.mark.parametrize(
    ("neighbour", "place"), [("base", "inside"), ("gzip", "inside"), ("gzip", "outside"), ("gzip", "both")]
)
async def test_a_download_is_left_incomplete(neighbour: str, place: str) -> None:
    """Nobody takes half of it for the whole."""
    assert (await last_of_a_download(Site(neighbour, place)))["more_body"] is True


async def test_a_base_http_middleware_outside_makes_a_download_look_whole() -> None:
    """Starlette's ends every body that stops, even one that failed; the how-to says to put it inside."""
    assert (await last_of_a_download(Site("base", "outside")))["more_body"] is False


@NEIGHBOURS
@PLACES
async def test_a_websocket_is_closed(neighbour: str, place: str) -> None:
    """Its handler sees the disconnect."""
    site = Site(neighbour, place)
    cookie = await stored_session(site.store, {"a": 1})
    async with held(site.app, "websocket", cookie, "/socket") as connection:
        await connection.until("websocket.accept")
        await site.end(cookie)
        closed = await connection.until("websocket.close")
        await connection.ended()
    assert (closed["code"], site.log) == (1008, ["closed"])
