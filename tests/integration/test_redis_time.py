"""Timeouts as a real server keeps them: by the stamps in the document and by the TTL of the key."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from visits import CONFIG, MakeStore, commit, put, read, visit

from chirp.middleware.sessions import RedisSessionStore, SessionConfig, regenerate_session, rotate_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.session_id import mint
from chirp.middleware.sessions.user_index import CLOCK_SKEW_SECONDS
from chirp.testing import ManualClock as Clock

IDLE = replace(CONFIG, idle_timeout_seconds=100, touch_interval_seconds=10)
ABSOLUTE = replace(CONFIG, idle_timeout_seconds=100, absolute_timeout_seconds=150, touch_interval_seconds=10)


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())  # the server's, since a time to live is counted there


async def until_gone(client: Redis, key: str, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await client.exists(key):
            await asyncio.sleep(0.01)


async def test_a_session_idle_for_its_limit_is_expired(make_store: MakeStore, clock: Clock) -> None:
    """Just before the limit it is there; exactly at the limit it is not, though Redis still has the key."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    clock.now += 99.9
    assert (await store.open(cookie, https=True)).get("a") == 1
    clock.now += 0.1
    assert await read(store, cookie) == {}


async def test_a_visit_starts_the_idle_limit_anew(make_store: MakeStore, clock: Clock) -> None:
    """A request after the touch interval moves the limit, and sets the cookie so that the browser keeps it."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    for _ in range(5):
        clock.now += 90
        session, header = await visit(store, cookie)
        assert dict(session) == {"a": 1}
        assert header is not None


async def test_no_visit_moves_the_absolute_limit(make_store: MakeStore, clock: Clock) -> None:
    """A busy session ends when its absolute time is over, however it was touched, changed or rotated."""
    store = make_store(config=ABSOLUTE, clock=clock)
    cookie = await put(store, a=1)
    clock.now += 60
    await visit(store, cookie)
    clock.now += 60
    cookie = await put(store, cookie, user_id=7)
    clock.now += 29.9
    assert (await store.open(cookie, https=True)).get("a") == 1
    clock.now += 0.1
    assert await read(store, cookie) == {}


async def test_a_change_that_is_not_due_does_not_move_the_idle_limit_back(make_store: MakeStore, clock: Clock) -> None:
    """A change between two touches keeps the stamps, which are not lost on save."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    created = (await store.open(cookie, https=True)).created_at
    clock.now += 5
    await put(store, cookie, b=2)
    session = await store.open(cookie, https=True)
    assert (session.created_at, session.last_seen_at) == (created, created)
    clock.now += 94.9
    assert await read(store, cookie) == {"a": 1, "b": 2}
    clock.now += 0.1
    assert await read(store, cookie) == {}


async def test_redis_drops_an_idle_session_by_itself(make_store: MakeStore, redis_client: Redis) -> None:
    """The key of a session with a short limit disappears without anybody asking for it."""
    store = make_store(config=replace(CONFIG, max_age=1))
    cookie = await put(store, a=1)
    assert 0 < await redis_client.pttl(store.key_for(cookie)) <= 1000
    await until_gone(redis_client, store.key_for(cookie), 3)
    assert await read(store, cookie) == {}


async def test_the_absolute_limit_caps_the_ttl(make_store: MakeStore, redis_client: Redis, clock: Clock) -> None:
    """A key lives no longer than its session may, so that nothing of it outlasts the limit in Redis."""
    store = make_store(config=ABSOLUTE, clock=clock)
    cookie = await put(store, a=1)
    assert 99_000 < await redis_client.pttl(store.key_for(cookie)) <= 100_000
    clock.now += 80
    await visit(store, cookie)
    assert 69_000 < await redis_client.pttl(store.key_for(cookie)) <= 70_000


async def test_a_touch_renews_the_ttl(make_store: MakeStore, redis_client: Redis, clock: Clock) -> None:
    """A due visit that changes nothing gives the key its whole window again."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    await redis_client.pexpire(store.key_for(cookie), 50_000)
    clock.now += 50
    await visit(store, cookie)
    assert 99_000 < await redis_client.pttl(store.key_for(cookie)) <= 100_000


async def test_a_change_that_is_not_due_keeps_the_ttl(make_store: MakeStore, redis_client: Redis, clock: Clock) -> None:
    """Neither the whole window again nor no limit at all: the time that was left is left."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    await redis_client.pexpire(store.key_for(cookie), 50_000)
    clock.now += 5
    header = (await visit(store, cookie, lambda session: session.update(b=2))).cookie
    assert header is None
    assert 49_000 < await redis_client.pttl(store.key_for(cookie)) <= 50_000


async def test_a_change_that_is_due_renews_the_ttl(make_store: MakeStore, redis_client: Redis, clock: Clock) -> None:
    """A change after the touch interval is a touch as well."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    await redis_client.pexpire(store.key_for(cookie), 50_000)
    clock.now += 50
    header = (await visit(store, cookie, lambda session: session.update(b=2))).cookie
    assert header is not None
    assert 99_000 < await redis_client.pttl(store.key_for(cookie)) <= 100_000


async def test_changes_that_are_merged_and_due_renew_the_limit(
    make_store: MakeStore, redis_client: Redis, clock: Clock
) -> None:
    """Two requests whose changes become one write still touch the session: its stamp and its TTL move."""
    store = make_store(config=IDLE, clock=clock)
    cookie = await put(store, a=1)
    await redis_client.pexpire(store.key_for(cookie), 50_000)
    clock.now += 50
    sessions = [await store.open(cookie, https=True) for _ in range(2)]
    sessions[0]["b"] = 2
    sessions[1]["c"] = 3
    await asyncio.gather(*(commit(store, session) for session in sessions))
    merged = await store.open(cookie, https=True)
    assert (dict(merged), merged.last_seen_at) == ({"a": 1, "b": 2, "c": 3}, clock.now)
    assert 99_000 < await redis_client.pttl(store.key_for(cookie)) <= 100_000


STEPS: dict[str, Callable[[Session], object]] = {
    "create": lambda session: None,
    "change": lambda session: session.update(b=2),
    "logout": Session.clear,
    "regenerate": lambda session: regenerate_session(),
    "login": lambda session: regenerate_session().update(user_id=7),
    "rotate": lambda session: rotate_session(),
    "change of user": lambda session: session.update(user_id=7),
}


@pytest.mark.parametrize("interval", [0, None])
@pytest.mark.parametrize("step", STEPS)
async def test_every_key_written_has_a_ttl(
    make_store: MakeStore, redis_client: Redis, step: str, interval: float | None
) -> None:
    """Whatever a request does, it leaves no key behind that would stay for ever."""
    store = make_store(config=replace(CONFIG, touch_interval_seconds=interval))
    cookie = await put(store, a=1)
    await visit(store, cookie, STEPS[step])
    keys = [key async for key in redis_client.scan_iter(f"{store.key_prefix}*")]
    assert keys
    most = 86_400_000 + CLOCK_SKEW_SECONDS * 1000
    assert all([0 < await redis_client.pttl(key) <= most for key in keys])


@pytest.mark.parametrize("step", ["logout", "regenerate", "login", "rotate", "change of user"])
async def test_a_tombstone_lives_for_the_grace(make_store: MakeStore, redis_client: Redis, step: str) -> None:
    """A dead id is remembered for `rotation_grace_seconds`, and not for the life of the session."""
    store = make_store(config=replace(CONFIG, rotation_grace_seconds=7))
    cookie = await put(store, a=1)
    await visit(store, cookie, STEPS[step])
    assert not (await redis_client.get(store.key_for(cookie)) or b"{").startswith(b"{")
    assert 6_000 < await redis_client.pttl(store.key_for(cookie)) <= 7_000


@pytest.mark.parametrize("step", ["logout", "regenerate", "login", "rotate", "change of user"])
async def test_without_a_grace_the_old_key_is_deleted(make_store: MakeStore, redis_client: Redis, step: str) -> None:
    """`rotation_grace_seconds=0` leaves nothing of a dead id."""
    store = make_store(config=replace(CONFIG, rotation_grace_seconds=0))
    cookie = await put(store, a=1)
    await visit(store, cookie, STEPS[step])
    assert not await redis_client.exists(store.key_for(cookie))


async def test_a_logout_of_an_id_whose_key_is_gone_is_remembered(store: RedisSessionStore, redis_client: Redis) -> None:
    """A request that ends a session whose key has expired meanwhile still leaves a tombstone of the grace."""
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    await redis_client.delete(store.key_for(cookie))
    session.clear()
    assert (await commit(store, session)).cookie is None
    assert await redis_client.get(store.key_for(cookie)) == b"dead"
    assert 29_000 < await redis_client.pttl(store.key_for(cookie)) <= 30_000


async def test_a_second_logout_does_not_lengthen_the_grace(store: RedisSessionStore, redis_client: Redis) -> None:
    """A tombstone that is there already is left as it is."""
    cookie = await put(store, a=1)
    sessions = [await store.open(cookie, https=True) for _ in range(2)]
    for session in sessions:
        session.clear()
    await commit(store, sessions[0])
    await redis_client.pexpire(store.key_for(cookie), 10_000)
    await commit(store, sessions[1])
    assert 9_000 < await redis_client.pttl(store.key_for(cookie)) <= 10_000


async def test_unknown_ids_leave_nothing_in_redis(store: RedisSessionStore, redis_client: Redis) -> None:
    """Made-up cookies cost a look, and no memory."""
    for _ in range(10):
        await visit(store, mint())
    assert [key async for key in redis_client.scan_iter(f"{store.key_prefix}*")] == []


def config_with_stamps_at(created: str, seen: str) -> SessionConfig:
    return replace(CONFIG, created_at_key=created, last_seen_at_key=seen, idle_timeout_seconds=100)


@pytest.mark.parametrize("names", [("__created_at", "__last_seen_at"), ("born", "seen"), ("a", "b")])
async def test_data_under_the_names_of_the_stamps_is_data(
    make_store: MakeStore, clock: Clock, names: tuple[str, str]
) -> None:
    """A handler's own `__created_at` comes back as it was, and the timeouts do not read it."""
    store = make_store(config=config_with_stamps_at(*names), clock=clock)
    mine = {names[0]: 1, names[1]: "never", "handle": "mine", "data": {"data": 1}, "id": "x", "__x": None, "": 0}
    cookie = await put(store, **mine)
    clock.now += 99.9
    assert await read(store, cookie) == mine
    clock.now += 0.1
    assert await read(store, cookie) == {}


async def test_a_handlers_own_id_is_not_taken_for_the_sessions(store: RedisSessionStore) -> None:
    """`session["id"]` is data: it decides neither under which key the session stands nor what the cookie holds."""
    other = await put(store, a=1)
    cookie = await put(store, id=other, handle="h")
    await put(store, cookie, id=store.key_for(other))
    await visit(store, cookie, Session.clear)
    assert cookie != other
    assert await read(store, other) == {"a": 1}
