"""A test client is put into a session, and its session is read back, on every store."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from session_kit import app_under
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from chirp.errors import ConfigurationError, SessionNotSerializable
from chirp.middleware.sessions import (
    CookieSessionStore,
    MemorySessionStore,
    RedisSessionStore,
    SessionConfig,
    get_session,
)
from chirp.middleware.sessions.store import BuiltInStore
from chirp.testing import Browser, ManualClock, put_session, put_session_sync, read_session, read_session_sync

MakeStore = Callable[..., BuiltInStore]


def answer(request: Request) -> Response:
    session = get_session()
    if request.method == "POST":
        session["posts"] = session.get("posts", 0) + 1
    return JSONResponse(dict(session))


def app_on(store: BuiltInStore) -> Any:
    return app_under("asgi", answer, replace(store.config, store=store))


def client_of(store: BuiltInStore, base_url: str = "https://testserver") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app_on(store)), base_url=base_url)


@pytest.mark.parametrize("base_url", ["http://testserver", "https://testserver", "https://shop.example.com:8443/api/"])
async def test_a_client_is_put_into_a_session(make_store: MakeStore, base_url: str) -> None:
    """And goes on in it; what the app makes of it is read back."""
    store = make_store()
    async with client_of(store, base_url) as client:
        await put_session(client, store, {"user_id": 1})
        assert (await client.get("/")).json() == {"user_id": 1}
        await client.post("/")
        found = await read_session(client, store)
        assert (found, found.user_id) == ({"user_id": 1, "posts": 1}, 1)
        assert len(client.cookies) == 1


async def test_a_client_without_a_session_reads_an_empty_one(make_store: MakeStore) -> None:
    """As its first visit would."""
    store = make_store()
    async with client_of(store) as client:
        assert (await read_session(client, store), (await read_session(client, store)).is_new) == ({}, True)


async def test_a_client_is_put_from_one_session_into_another(make_store: MakeStore) -> None:
    """The app's cookie is replaced, not doubled, and the former session stays."""
    store = make_store()
    async with client_of(store) as client:
        await client.post("/")
        before = Browser(store, client.cookies["chirp_session"])
        await put_session(client, store, {"a": 1})
        assert (await client.get("/")).json() == {"a": 1}
        assert await before.read() == {"posts": 1}


async def test_two_clients_have_sessions_of_their_own(make_store: MakeStore) -> None:
    """Nothing is shared but the store."""
    store = make_store()
    async with client_of(store) as one, client_of(store) as other:
        await put_session(one, store, {"a": 1})
        await put_session(other, store, {"a": 2})
        assert ((await read_session(one, store))["a"], (await read_session(other, store))["a"]) == (1, 2)


async def test_reading_a_session_does_not_slide_it(make_store: MakeStore, clock: ManualClock) -> None:
    """A test that looks does not keep alive what it looks at."""
    store = make_store(max_age=100, touch_interval_seconds=0)
    async with client_of(store) as client:
        await put_session(client, store, {"a": 1})
        clock.move(99)
        assert await read_session(client, store) == {"a": 1}
        clock.move(1)
        assert await read_session(client, store) == {}


async def test_what_is_changed_in_the_session_that_was_read_stays_there(make_store: MakeStore) -> None:
    """It is a copy of what is stored."""
    store = make_store()
    async with client_of(store) as client:
        await put_session(client, store, {"a": []})
        (await read_session(client, store))["a"].append(1)
        assert await read_session(client, store) == {"a": []}


async def test_the_path_of_the_cookie_holds(make_store: MakeStore) -> None:
    """The client does not send it elsewhere."""
    store = make_store(path="/shop")
    async with client_of(store) as client:
        await put_session(client, store, {"a": 1})
        assert (await client.get("/shop/cart")).json() == {"a": 1}
        assert (await client.get("/blog")).json() == {}
        assert await read_session(client, store) == {"a": 1}


async def test_the_domain_of_the_cookie_holds(make_store: MakeStore) -> None:
    """The client sends it to all hosts of the domain."""
    store = make_store(domain="example.com")
    async with client_of(store, "https://shop.example.com") as client:
        await put_session(client, store, {"a": 1})
        assert (await client.get("https://blog.example.com/")).json() == {"a": 1}
        assert (await client.get("https://example.org/")).json() == {}


@pytest.mark.parametrize("settings", [{"secure": True}, {"domain": "example.com"}])
async def test_a_cookie_that_the_client_would_not_send_is_told(make_store: MakeStore, settings: Any) -> None:
    """Or a test would look for a session that is there and never arrives."""
    store = make_store(**settings)
    async with client_of(store, "http://testserver") as client:
        with pytest.raises(ConfigurationError, match="base_url='http://testserver/': the client would not send"):
            await put_session(client, store, {"a": 1})


async def test_what_is_no_session_is_refused(make_store: MakeStore) -> None:
    """An empty one is not stored, and values have to be JSON."""
    store = make_store()
    async with client_of(store) as client:
        with pytest.raises(ValueError, match="an empty session is not stored"):
            await put_session(client, store, {})
        with pytest.raises(SessionNotSerializable):
            await put_session(client, store, {"a": object()})


@pytest.fixture(params=["memory", "cookie", "redis"])
def own_store(request: pytest.FixtureRequest) -> BuiltInStore:
    """A store that no event loop knows yet."""
    config = SessionConfig("a-secret-of-the-tests-that-is-long-enough")
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("key_prefix")
        return RedisSessionStore(config, url, prefix)
    return MemorySessionStore(config) if request.param == "memory" else CookieSessionStore(config)


def test_a_sync_test_has_both_while_the_app_runs_in_its_own_loop(own_store: BuiltInStore) -> None:
    """The loop of the `TestClient` is alive, and has connections of its own."""
    store = own_store
    with TestClient(app_on(store), base_url="https://testserver") as client:
        assert client.get("/").json() == {}
        put_session_sync(client, store, {"user_id": 1})
        assert client.post("/").json() == {"user_id": 1, "posts": 1}
        assert read_session_sync(client, store) == {"user_id": 1, "posts": 1}
        assert client.post("/").json() == {"user_id": 1, "posts": 2}
        assert read_session_sync(client, store)["posts"] == 2
