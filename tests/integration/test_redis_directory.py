"""Users' indexes on a real server: many sessions, other workers, outages, foreign values, forgotten scripts, times."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from proxy import proxied
from redis.asyncio import Redis
from servers import OwnServer
from visits import CONFIG, MakeStore, put, read, visit

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.codec import encode_user
from chirp.middleware.sessions.redis_scripts import END, SWAP
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.user_index import CLOCK_SKEW_SECONDS, index_key
from chirp.testing import ManualClock

MANY = 10_000
BATCH = 64  # keys that a round trip carries at most


def index_of(store: RedisSessionStore, user: Any = 5) -> str:
    return index_key(store.key_prefix, encode_user(user) or b"")


async def test_a_user_with_ten_thousand_sessions(make_store: MakeStore, server: OwnServer) -> None:
    """They are listed and revoked in round trips that carry many each, and within the deadline of each step."""
    async with proxied(server.url) as proxy:
        filling, store = make_store(server.url), make_store(proxy.url)
        for start in range(0, MANY, 500):
            await asyncio.gather(*(put(filling, user_id=5, number=start + number) for number in range(500)))
        await put(store, user_id=6)
        begun = proxy.round_trips
        assert len(await store.list_sessions(5)) == MANY
        assert proxy.round_trips - begun <= 1.5 * MANY / BATCH
        begun = proxy.round_trips
        assert await store.revoke_user(5) == MANY
        assert proxy.round_trips - begun <= 2 * MANY / BATCH
        assert (await store.list_sessions(5), len(await store.list_sessions(6))) == ([], 1)
        await store.aclose()


async def test_what_others_have_stored_costs_a_revocation_nothing(make_store: MakeStore, server: OwnServer) -> None:
    """So it takes milliseconds however many sessions there are: it asks for one user's index alone."""
    async with proxied(server.url) as proxy:
        filling, store = make_store(server.url), make_store(proxy.url)
        await asyncio.gather(*(put(filling, user_id=number) for number in range(1000)))
        for user in ("mine", "who makes the scripts known"):
            await put(store, user_id=user)
        await store.revoke_user("who makes the scripts known")
        begun = proxy.round_trips
        assert await store.revoke_user("mine") == 1
        assert proxy.round_trips - begun == 4  # the index, an end, its name in the index, the index again
        await store.aclose()


async def test_a_revocation_holds_in_every_other_worker(make_store: MakeStore) -> None:
    """A process with connections of its own finds the session gone at its next request."""
    here, elsewhere = make_store(), make_store()
    cookie = await put(elsewhere, user_id=5, a=1)
    held = await elsewhere.open(cookie, https=True)
    (info,) = await here.list_sessions(5)
    assert await here.revoke(info.handle, user_id=5) is True
    assert await read(elsewhere, cookie) == {}
    held["b"] = 2
    assert await elsewhere.commit(held, elsewhere.clock()) is None
    assert await read(elsewhere, cookie) == {}


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.list_sessions(5),
        lambda store: store.revoke("h" * 16, user_id=5),
        lambda store: store.revoke("h" * 16),
        lambda store: store.revoke_user(5),
        lambda store: store.revoke_id("i" * 43),
    ],
    ids=["list", "revoke", "revoke by a scan", "revoke user", "revoke id"],
)
async def test_while_the_server_hangs_it_is_an_outage(make_store: MakeStore, server: OwnServer, ask: Any) -> None:
    """Within the deadline; a list is never empty, and a revocation never done, because nobody could be asked."""
    store = make_store(server.url, timeout_seconds=0.2)
    await put(store, user_id=5)
    server.freeze()
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await ask(store)
    assert time.monotonic() - begun < 10
    server.thaw()


@pytest.mark.parametrize(
    "handler", [lambda session: session.update(user_id=5), lambda session: rotate_session()], ids=["login", "rotate"]
)
async def test_what_is_no_index_gives_way_to_one(store: RedisSessionStore, redis_client: Redis, handler: Any) -> None:
    """Promise 12: a value of another type under the key of an index is no reason to refuse a login."""
    cookie = await put(store, a=1, user_id=4)
    for user in (4, 5):
        await redis_client.delete(index_of(store, user))
        await redis_client.set(index_of(store, user), "no index")
    assert await store.list_sessions(5) == []
    assert (await visit(store, cookie, handler)).cookie is not None
    assert len(await store.list_sessions(4)) + len(await store.list_sessions(5)) == 1


async def test_where_only_the_scripts_of_documents_are_known_a_rotation_loses_nothing(
    make_store: MakeStore, server: OwnServer
) -> None:
    """A server that has kept them from an earlier version of this package knows none for indexes."""
    store = make_store(server.url)
    cookie = await put(store, user_id=5, a=1)
    async with Redis.from_url(server.url) as client:
        await client.script_flush()
        for script in (SWAP, END):
            await client.script_load(script.source)
    session = (await visit(store, cookie, lambda session: rotate_session())).session
    assert await read(store, session.id or "") == {"user_id": 5, "a": 1}
    assert len(await store.list_sessions(5)) == 1


async def test_a_touch_enlists_where_the_server_has_forgotten_its_scripts(
    make_store: MakeStore, server: OwnServer
) -> None:
    """SCRIPT FLUSH, or a failover to a server without them."""
    clock = ManualClock(time.time())
    store = make_store(server.url, clock=clock)
    cookie = await put(store, user_id=5)
    async with Redis.from_url(server.url) as client:
        await client.delete(index_of(store))
        await client.script_flush()
    clock.now += 3600
    await visit(store, cookie)
    assert len(await store.list_sessions(5)) == 1


async def test_an_index_lives_as_long_as_its_longest_session(make_store: MakeStore, redis_client: Redis) -> None:
    """A touch of a session that ends soon does not take the time of another that goes on."""
    clock = ManualClock(time.time())
    store = make_store(config=replace(CONFIG, absolute_timeout_seconds=1000, touch_interval_seconds=0), clock=clock)
    ending = await put(store, user_id=5)
    clock.now += 900
    await put(store, user_id=5)
    await visit(store, ending)
    skew = CLOCK_SKEW_SECONDS * 1000
    assert 990_000 + skew < await redis_client.pttl(index_of(store)) <= 1_000_000 + skew


async def test_of_a_slow_clock_no_touch_brings_a_members_time_forward(
    make_store: MakeStore, redis_client: Redis
) -> None:
    """Of two hosts whose clocks differ, the index believes the one that says later."""
    ahead, behind = ManualClock(time.time() + 60), ManualClock(time.time())
    config = replace(CONFIG, touch_interval_seconds=0)
    store, slow = make_store(config=config, clock=ahead), make_store(config=config, clock=behind)
    cookie = await put(store, user_id=5)
    await visit(slow, cookie)
    ((_, until),) = await redis_client.zrange(index_of(store), 0, -1, withscores=True)
    assert until == pytest.approx(ahead.now + CONFIG.max_age, abs=1e-3)


@pytest.mark.parametrize("missing", ["zadd", "zremrangebyscore", "pttl", "pexpire"])
@pytest.mark.parametrize(
    "handler",
    [lambda session: rotate_session(), lambda session: regenerate_session().update(user_id=6)],
    ids=["rotate", "login"],
)
async def test_an_index_that_may_not_be_written_refuses_a_new_id_and_loses_nothing(
    make_store: MakeStore, server: OwnServer, missing: str, handler: Any
) -> None:
    """Promise 11: as with an ACL from before there were indexes. No session is stored that none knows."""
    cookie = await put(make_store(server.url), user_id=5, a=1)
    async with Redis.from_url(server.url) as client:
        await client.pexpire(index_of(make_store(server.url)), 60_000)  # so that it has to live longer
        await client.execute_command("ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", f"-{missing}")
        limited = make_store(server.url.replace("redis://", "redis://app:pass@"))
        before = await client.keys(limited.key_prefix + "?" * 64)
        with pytest.raises(StoreUnavailable, match=r"permission|can't run"):
            await visit(limited, cookie, handler)
        assert await client.keys(limited.key_prefix + "?" * 64) == before
    assert await read(limited, cookie) == {"user_id": 5, "a": 1}


async def test_a_logout_does_not_need_the_right_to_strike_off(make_store: MakeStore, server: OwnServer) -> None:
    """It has ended the session by then."""
    cookie = await put(make_store(server.url), user_id=5)
    async with Redis.from_url(server.url) as client:
        await client.execute_command("ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-zrem")
    limited = make_store(server.url.replace("redis://", "redis://app:pass@"))
    assert (await visit(limited, cookie, Session.clear)).cookie is not None
    assert await read(limited, cookie) == {}


async def test_a_login_that_is_refused_leaves_no_member(make_store: MakeStore, server: OwnServer) -> None:
    """What an operation put into an index is taken out again when the server refuses the rest of it."""
    store = make_store(server.url)
    await put(store, user_id=5)
    async with Redis.from_url(server.url) as client:
        before = await client.zrange(index_of(store), 0, -1)
        await client.execute_command(
            "ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-get"
        )  # which the script needs that ends the session before
        limited = make_store(server.url.replace("redis://", "redis://app:pass@"))
        cookie = await put(store, a=1)
        with pytest.raises(StoreUnavailable, match=r"permission|can't run"):
            await visit(limited, cookie, lambda session: regenerate_session().update(user_id=5))
        assert await client.zrange(index_of(store), 0, -1) == before


async def test_a_prefix_of_special_characters_is_scanned_as_it_is(redis_url: str, key_prefix: str) -> None:
    """SCAN takes patterns, and a prefix is none."""
    store, other = (RedisSessionStore(CONFIG, redis_url, key_prefix + odd) for odd in ("[a]*?\\:", "a1\\:"))
    for each in (store, other):
        await put(each, user_id=5)
    found = [info.key async for scan in store.scan_sessions() for info in scan.sessions]
    assert [key.startswith(store.key_prefix) for key in found] == [True]
    for each in (store, other):
        await each.aclose()


async def test_keys_of_others_are_not_scanned(store: RedisSessionStore, redis_client: Redis) -> None:
    """What is no hash names no session, even if it is as long and holds a document."""
    cookie = await put(store, user_id=5)
    document = await redis_client.get(store.key_for(cookie)) or b""
    await redis_client.set(store.key_prefix + "z" * 64, document)
    found = [info.key async for scan in store.scan_sessions() for info in scan.sessions]
    assert found == [store.key_for(cookie)]


async def test_an_ended_session_of_somebody_without_a_user_touches_no_index(
    store: RedisSessionStore, redis_client: Redis
) -> None:
    """Those who never sign in cost nothing more."""
    cookie = await put(store, a=1)
    await visit(store, cookie, Session.clear)
    assert [key async for key in redis_client.scan_iter(f"{store.key_prefix}user:*")] == []
