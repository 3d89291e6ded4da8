"""What somebody else put under a session's key: an anonymous session, never an exception."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest
from hostile_seeds import CORRUPT
from redis.asyncio import Redis
from visits import commit, handle, put, read, visit

from chirp.middleware.sessions import RedisSessionStore, regenerate_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.session_id import hash_id, mint

Plant = Callable[[Redis, str], Awaitable[object]]

WRONG_TYPES: dict[str, Plant] = {
    "list": lambda client, key: client.rpush(key, "a"),
    "set": lambda client, key: client.sadd(key, "a"),
    "hash": lambda client, key: client.hset(key, "a", "b"),
    "sorted set": lambda client, key: client.zadd(key, {"a": 1}),
    "stream": lambda client, key: client.xadd(key, {"a": "b"}),
}


@pytest.mark.parametrize("value", CORRUPT)
async def test_a_corrupt_value_is_an_anonymous_session_and_a_warning(
    store: RedisSessionStore, redis_client: Redis, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    """The request gets an empty session, the log a warning without the id, and what is stored goes under a new id."""
    cookie = mint()
    await redis_client.set(store.key_for(cookie), CORRUPT[value], px=60_000)
    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        session = await store.open(cookie, https=True)
    assert dict(session) == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert cookie not in caplog.text
    session["a"] = 1
    await commit(store, session)
    assert session.id not in (None, cookie)
    assert await read(store, session.id or "") == {"a": 1}


@pytest.mark.parametrize("kind", WRONG_TYPES)
async def test_a_key_of_a_wrong_type_is_an_anonymous_session(
    store: RedisSessionStore, redis_client: Redis, kind: str
) -> None:
    """A list or a hash under the session's key is no session; what is stored then goes under a new id."""
    cookie = mint()
    await WRONG_TYPES[kind](redis_client, store.key_for(cookie))
    assert await read(store, cookie) == {}
    fresh = await put(store, cookie, a=1)
    assert fresh != cookie
    assert await read(store, fresh) == {"a": 1}
    assert await redis_client.type(store.key_for(cookie)) not in (b"string", b"none")


CHANGES: dict[str, Callable[[Session], object]] = {
    "change": lambda session: session.update(b=2),
    "remove": lambda session: session.pop("a"),
    "logout": Session.clear,
    "login": lambda session: regenerate_session().update(user_id=7),
    "rotate": lambda session: session.update(user_id=7),
}


@pytest.mark.parametrize("step", CHANGES)
@pytest.mark.parametrize("kind", ["list", "corrupt", "foreign"])
async def test_a_session_replaced_meanwhile_is_gone(
    store: RedisSessionStore, redis_client: Redis, kind: str, step: str
) -> None:
    """A value that turns strange between load and commit makes no exception and loses nothing but itself."""
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    key = store.key_for(cookie)
    await redis_client.delete(key)
    if kind == "list":
        await redis_client.rpush(key, "a")
    else:
        await redis_client.set(key, b"\xff" if kind == "foreign" else b'{"half', px=60_000)
    handle(session, CHANGES[step])
    await commit(store, session)
    assert await read(store, cookie) == {}


@pytest.mark.parametrize("step", ["logout", "login"])
async def test_a_wrong_type_does_not_keep_an_id_from_ending(
    store: RedisSessionStore, redis_client: Redis, step: str
) -> None:
    """Whatever stands under the key of an id that ends, a tombstone takes its place."""
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    await redis_client.delete(store.key_for(cookie))
    await redis_client.rpush(store.key_for(cookie), "a")
    handle(session, CHANGES[step])
    await commit(store, session)
    assert await redis_client.get(store.key_for(cookie)) == b"dead"


@pytest.mark.parametrize("kind", ["moved", "dead"])
async def test_a_tombstone_is_an_ended_session(store: RedisSessionStore, redis_client: Redis, kind: str) -> None:
    """Behind a tombstone without a way on, what a request stores goes nowhere, and no cookie is set."""
    cookie, other = mint(), await put(store, a=1)
    value = kind if kind == "dead" else f"{kind} {hash_id(other)}"
    await redis_client.set(store.key_for(cookie), value, px=60_000)
    session, header = await visit(store, cookie, lambda session: session.update(b=2))
    assert (header, session.id) == (None, None)
    assert await read(store, other) == {"a": 1}
    assert len([key async for key in redis_client.scan_iter(f"{store.key_prefix}*")]) == 2


@pytest.mark.parametrize("there", [None, "dead", "{not a document", "moved {other}"])
async def test_a_successor_that_is_no_session_is_an_ended_session(
    store: RedisSessionStore, redis_client: Redis, there: str | None
) -> None:
    """A way that leads to nothing, to another end or to a foreign value is detached like any end."""
    cookie, gone, other = mint(), mint(), await put(store, a=1)
    await redis_client.set(store.key_for(cookie), f"follow {hash_id(gone)}", px=60_000)
    if there is not None:
        await redis_client.set(store.key_for(gone), there.replace("{other}", hash_id(other)), px=60_000)
    session, header = await visit(store, cookie, lambda session: session.update(b=2))
    assert (header, session.id) == (None, None)
    assert await read(store, other) == {"a": 1}


@pytest.mark.parametrize("step", ["read", "change", "renew"])
async def test_a_circle_of_ways_is_an_ended_session(store: RedisSessionStore, redis_client: Redis, step: str) -> None:
    """Somebody who can write to the store sends no request round for ever, whenever it meets the circle."""
    cookie, other = await put(store, a=1), mint()
    session = await store.open(cookie, https=True)
    await redis_client.set(store.key_for(cookie), f"follow {hash_id(other)}", px=60_000)
    await redis_client.set(store.key_for(other), f"follow {hash_id(cookie)}", px=60_000)
    if step == "read":
        assert await read(store, cookie) == {}
        return
    session["b"] = 2
    if step == "renew":
        session._rotate(follow=True)
    assert (await commit(store, session)).cookie is None
    assert await redis_client.get(store.key_for(cookie)) == f"follow {hash_id(other)}".encode()


async def test_a_tombstone_leads_to_keys_under_the_prefix_only(store: RedisSessionStore, redis_client: Redis) -> None:
    """Whatever a foreign tombstone names, a logout that follows it ends a key of the store's own."""
    cookie, named = await put(store, a=1), "f" * 64
    session = await store.open(cookie, https=True)
    session.clear()
    await redis_client.set(store.key_for(cookie), f"moved {named}", px=60_000)
    await commit(store, session)
    keys = {key.decode() async for key in redis_client.scan_iter(f"*{named}*")}
    assert keys == {store.key_prefix + named}
    assert await redis_client.get(store.key_prefix + named) == b"dead"


@pytest.mark.parametrize("length", [1, 2])
async def test_a_circle_of_tombstones_ends_a_logout_all_the_same(
    store: RedisSessionStore, redis_client: Redis, length: int
) -> None:
    """Foreign tombstones that lead to one another do not keep a request busy for ever."""
    cookie = await put(store, a=1)
    hashes = [hash_id(cookie), hash_id(mint())][:length]
    session = await store.open(cookie, https=True)
    session.clear()
    for here, there in zip(hashes, hashes[1:] + hashes[:1], strict=True):
        await redis_client.set(store.key_prefix + here, f"moved {there}", px=60_000)
    async with asyncio.timeout(2):
        await commit(store, session)


async def test_a_document_in_another_spelling_is_read(store: RedisSessionStore, redis_client: Redis) -> None:
    """White space, another order of fields and additional ones do not make a document corrupt."""
    cookie = await put(store, a=1)
    key = store.key_for(cookie)
    document = json.loads(await redis_client.get(key) or b"")
    respelt = json.dumps({"added": [1], **dict(reversed(document.items()))}, indent=2)
    await redis_client.set(key, respelt, keepttl=True)
    assert await read(store, cookie) == {"a": 1}
    await put(store, cookie, b=2)
    assert await read(store, cookie) == {"a": 1, "b": 2}
