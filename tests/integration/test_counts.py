"""What one request costs the server, through every way to it: commands as MONITOR tells, round trips, connections."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from costs import CountedStore, counted_store
from fronts_kit import WAYS, Action, requests_through
from redis.asyncio import Redis
from servers import OwnServer
from session_kit import Clock, call_asgi, http_scope, value_in
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from visits import CONFIG, MakeStore, put, visit

from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    RedisSessionStore,
    SessionMiddleware,
    get_session,
    regenerate_session,
    rotate_session,
)
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.session_id import mint

PAST_THE_TOUCH = 301  # seconds; with the settings of CONFIG a touch is due after 300
READ, SCRIPT = "MGET", "EVALSHA"


def look() -> object:
    return get_session().get("count")


def store_the_same() -> None:
    get_session().update(dict(get_session()))


def change() -> None:
    get_session()["count"] += 1


def add() -> None:
    get_session()["new"] = True


def empty() -> None:
    get_session().pop("count")


def leave() -> None:
    get_session().clear()


def become() -> None:
    get_session()["user_id"] = 7


def log_in() -> None:
    regenerate_session()["user_id"] = 7


class Row(NamedTuple):
    """A row of the end-of-request table.

    Attributes:
        cookie: what the browser presents: "none", "malformed", "unknown", "live", "due" (live, and its touch is due),
            "user" and "due user" (the same of somebody who is signed in), or "dead" (logged out).
        action: what the handler does.
        commands: those that name a key, as the client sends them.
        round_trips: of them all.
    """

    cookie: str
    action: Action
    commands: list[str]
    round_trips: int

    def __str__(self) -> str:
        return f"{self.cookie}-{self.action.__name__}"


ROWS = [
    Row("none", look, [], 0),
    Row("none", add, ["SET"], 1),
    Row("none", log_in, [SCRIPT, "SET"], 2),
    Row("malformed", look, [], 0),
    Row("malformed", add, ["SET"], 1),
    Row("unknown", look, [READ], 1),
    Row("unknown", add, [READ, "SET", "GET"], 2),
    Row("unknown", log_in, [READ, SCRIPT, "SET", SCRIPT], 3),
    Row("live", look, [READ], 1),
    Row("live", store_the_same, [READ], 1),
    Row("live", change, [READ, SCRIPT], 2),
    Row("live", empty, [READ, SCRIPT], 2),
    Row("live", leave, [READ, SCRIPT], 2),
    Row("live", regenerate_session, [READ, SCRIPT], 2),
    Row("live", log_in, [READ, SCRIPT, "SET", SCRIPT], 3),
    Row("live", rotate_session, [READ, "SET", SCRIPT], 2),
    Row("live", become, [READ, SCRIPT, "SET", SCRIPT], 3),
    Row("due", look, [READ, SCRIPT], 2),
    Row("due", change, [READ, SCRIPT], 2),
    Row("user", look, [READ], 1),
    Row("user", change, [READ, SCRIPT], 2),
    Row("user", leave, [READ, SCRIPT, "ZREM"], 3),
    Row("user", rotate_session, [READ, SCRIPT, "SET", SCRIPT, "ZREM"], 4),
    Row("user", log_in, [READ, SCRIPT, "SET", SCRIPT, "ZREM"], 4),
    Row("due user", look, [READ, SCRIPT, SCRIPT], 3),
    Row("due user", change, [READ, SCRIPT, SCRIPT], 3),
    Row("dead", look, [READ], 1),
    Row("dead", add, [READ], 1),
]


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())  # the server's, since a time to live is counted there


@pytest.fixture
async def counted(make_store: MakeStore, redis_url: str, key_prefix: str, clock: Clock) -> AsyncIterator[CountedStore]:
    async with counted_store(make_store, redis_url, key_prefix, clock=clock) as counted:
        yield counted


async def presented(kind: str, store: RedisSessionStore, clock: Clock) -> str | None:
    """Return a cookie of that kind."""
    if kind in ("none", "malformed", "unknown"):
        return {"none": None, "malformed": "x" * 44, "unknown": mint()}[kind]
    cookie = await put(store, count=0, **({"user_id": 5} if "user" in kind else {}))
    if kind == "dead":
        await visit(store, cookie, Session.clear)
    if kind.startswith("due"):
        clock.now += PAST_THE_TOUCH
    return cookie


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_request_sends_what_its_row_says(row: Row, way: str, counted: CountedStore, clock: Clock) -> None:
    """Neither a command, a round trip nor a connection more, whichever way the request takes."""
    request = requests_through(way, counted.store)
    cookie = await presented(row.cookie, counted.store, clock)
    cost = await counted.cost(request(cookie, row.action))
    assert (cost.names, cost.round_trips, cost.connections) == (row.commands, row.round_trips, 0)


@pytest.mark.parametrize("way", WAYS)
async def test_a_thousand_requests_open_no_connection(way: str, make_store: MakeStore, server: OwnServer) -> None:
    """Once a store is connected, requests one after another go over what is there, whatever they do."""
    store = make_store(server.url)
    request = requests_through(way, store)
    cookie = await put(store, count=0)
    async with Redis.from_url(server.url) as client:
        opened = (await client.info("stats"))["total_connections_received"]
        for number in range(1000):
            action = (look, change, store_the_same, rotate_session)[number % 4]
            for line in await request(cookie, action):
                cookie = value_in(line)
        assert (await client.info("stats"))["total_connections_received"] == opened
    assert (await store.open(cookie, https=True)) == {"count": 250}


@pytest.mark.parametrize("kind", ["none", "live"])
async def test_headers_of_a_handler_that_needs_no_session_are_sent_as_they_are(
    kind: str, counted: CountedStore, clock: Clock
) -> None:
    """Nothing is to be set, so nothing is added, replaced or put in another order."""
    headers = [(b"X-Any", b"1"), (b"vary", b"Accept"), (b"x-any", b"2"), (b"set-cookie", b"theirs=1")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    cookie = await presented(kind, counted.store, clock)
    front = ASGISessionMiddleware(app, replace(CONFIG, store=counted.store))
    start, _ = await call_asgi(front, http_scope(headers=cookie_header(cookie)))
    assert start["headers"] == headers
    assert len(headers) == 4


@pytest.mark.parametrize("kind", ["none", "live"])
async def test_response_of_a_handler_that_needs_no_session_is_passed_on(
    kind: str, counted: CountedStore, clock: Clock
) -> None:
    """The very object, without a header more."""
    response = PlainTextResponse("ok", headers={"vary": "Accept"})
    before = list(response.raw_headers)

    async def handler(request: Any) -> Response:
        return response

    scope = http_scope(headers=cookie_header(await presented(kind, counted.store, clock)))
    passed_on = await SessionMiddleware(replace(CONFIG, store=counted.store))(Request(scope), handler)
    assert passed_on is response
    assert response.raw_headers == before


def cookie_header(cookie: str | None) -> list[tuple[bytes, bytes]]:
    return [] if cookie is None else [(b"cookie", f"{CONFIG.cookie_name}={cookie}".encode())]
