"""The memory store keeps its bounds; with it, what all server-side stores do without a server."""

import logging
from typing import Any

import pytest
from session_kit import Clock, WatchedStore, config_with, loaded, saved, stored_session, value_in

from chirp.errors import SessionNotSerializable, SessionTooLarge
from chirp.middleware.sessions import MemorySessionStore, Session
from chirp.middleware.sessions.decision import Found
from chirp.middleware.sessions.memory_store import SWEEP_EVERY
from chirp.testing import Browser

MALFORMED = ["", "short", "a" * 42, "a" * 44, "a" * 42 + "é", "\ud800" * 43, "../" * 20, "a" * 100_000]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> WatchedStore:
    return WatchedStore(config_with(max_age=100, touch_interval_seconds=10), clock=clock)


async def test_expired_sessions_that_nobody_asks_for_are_swept(store: WatchedStore, clock: Clock) -> None:
    """Promise 13: memory is bounded by what lives."""
    for _ in range(3 * SWEEP_EVERY):
        clock.now += 1
        await stored_session(store, {"a": 1})
    assert len(store._values) <= SWEEP_EVERY + 100


async def test_a_sweep_keeps_what_lives(store: WatchedStore, clock: Clock) -> None:
    """And only that."""
    old = await stored_session(store, {"a": 1})
    clock.now += 99
    young = await stored_session(store, {"a": 2})
    clock.now += 1
    store._until_sweep = 1
    await stored_session(store, {"a": 3})
    assert ((store.key_for(old) in store._values), await loaded(store, young)) == (False, {"a": 2})


async def test_tombstones_are_swept_too(store: WatchedStore, clock: Clock) -> None:
    """They live for the grace only."""
    session = await loaded(store, await stored_session(store, {"a": 1}))
    session.clear()
    await saved(store, session)
    clock.now += 30
    store._until_sweep = 1
    await stored_session(store, {"a": 3})
    assert len(store._values) == 1


@pytest.mark.parametrize(("seconds", "found"), [(29.999, Found.ENDED), (30, Found.UNKNOWN)])
async def test_a_tombstone_is_remembered_for_the_grace(
    store: WatchedStore, clock: Clock, seconds: float, found: Found
) -> None:
    """And forgotten exactly then."""
    cookie = await stored_session(store, {"a": 1})
    session = await loaded(store, cookie)
    session.clear()
    await saved(store, session)
    clock.now += seconds
    assert (await loaded(store, cookie))._found is found


@pytest.mark.parametrize(("seconds", "data"), [(99.999, {"a": 1}), (100, {})])
async def test_an_idle_session_ends(store: WatchedStore, clock: Clock, seconds: float, data: dict[str, Any]) -> None:
    """Promise 8: exactly at the limit."""
    cookie = await stored_session(store, {"a": 1})
    clock.now += seconds
    assert await loaded(store, cookie) == data


async def test_the_absolute_limit_is_never_extended(clock: Clock) -> None:
    """Promise 8: though the session is used all the time."""
    store = MemorySessionStore(
        config_with(max_age=100, absolute_timeout_seconds=250, touch_interval_seconds=0), clock=clock
    )
    cookie = await stored_session(store, {"a": 1})
    for data in ({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}, {}):
        clock.now += 50
        session = await loaded(store, cookie)
        assert session == data
        await saved(store, session)


async def test_the_limits_of_a_config_count_for_sessions_stored_under_another(clock: Clock) -> None:
    """Promise 8: a shorter limit counts at once, not only for new sessions; the time to live alone would not do."""
    store = MemorySessionStore(config_with(max_age=100), clock=clock)
    cookie = await stored_session(store, {"a": 1})
    stricter = MemorySessionStore(config_with(max_age=100, idle_timeout_seconds=10), clock=clock)
    stricter._values = store._values
    clock.now += 10
    assert await loaded(stricter, cookie) == {}


@pytest.mark.parametrize("cookie", MALFORMED)
async def test_a_malformed_cookie_asks_the_store_nothing(store: WatchedStore, cookie: str) -> None:
    """Promise 1: through `load`, which sees whatever the request's parser made of it."""
    session = await loaded(store, cookie)
    assert (session, await saved(store, session), store.used) == ({}, None, [])


async def test_a_request_without_cookie_asks_the_store_nothing(store: WatchedStore) -> None:
    """Promise 1: unless it stores something."""
    assert (await saved(store, await store.open(None, None)), store.used) == (None, [])


async def test_a_read_costs_one_key(store: WatchedStore) -> None:
    """Promise 2: no write, no cookie."""
    session = await loaded(store, await stored_session(store, {"a": 1}))
    store.used.clear()
    session = await loaded(store, session.id)
    assert (session["a"], await saved(store, session), store.used) == (1, None, ["read"])


async def test_an_unknown_id_is_never_adopted(store: WatchedStore) -> None:
    """Promise 6: what the browser presents does not become a session's id."""
    planted = "p" * 43
    session = await loaded(store, planted)
    session["a"] = 1
    new = value_in(await saved(store, session) or "")
    assert (new != planted, await loaded(store, planted), await loaded(store, new)) == (True, {}, {"a": 1})


async def test_a_key_is_the_hash_and_not_the_id(store: WatchedStore) -> None:
    """What the store is given yields no usable cookie."""
    cookie = await stored_session(store, {"a": 1})
    (key,) = store._values
    assert (key == store.key_for(cookie), cookie in key) == (True, False)


CORRUPT = [b"", b"\xff\xfe", b"{", b"{}", b"[1]", b"moved nowhere", b"dead?", b'{"a":' * 100_000]


@pytest.mark.parametrize("value", CORRUPT, ids=range(len(CORRUPT)))
async def test_a_corrupt_value_makes_an_anonymous_session(
    store: WatchedStore, clock: Clock, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 12: with a warning that names no id."""
    cookie = "c" * 43
    store._values[store.key_for(cookie)] = (value, clock.now + 50)
    session = await loaded(store, cookie)
    assert (session, session._found, await saved(store, session)) == ({}, Found.UNKNOWN, None)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert cookie not in caplog.text


async def test_two_requests_lose_nothing_of_each_other(store: WatchedStore) -> None:
    """Promise 3: their changes of different keys are merged."""
    cookie = await stored_session(store, {"a": 1})
    one, two = await loaded(store, cookie), await loaded(store, cookie)
    one["one"], two["two"] = 1, 2
    await saved(store, one)
    await saved(store, two)
    assert await loaded(store, cookie) == {"a": 1, "one": 1, "two": 2}


async def test_saving_again_after_a_merge_keeps_what_others_wrote(store: WatchedStore) -> None:
    """Promise 3: saving the same object twice is right, also when the first save met another request's."""
    cookie = await stored_session(store, {"a": 1})
    one, two = await loaded(store, cookie), await loaded(store, cookie)
    one["one"] = 1
    await saved(store, one)
    two["two"] = 2
    await saved(store, two)
    two["again"] = 3
    await saved(store, two)
    assert await loaded(store, cookie) == {"a": 1, "one": 1, "two": 2, "again": 3}


async def test_saving_again_after_a_rotation_that_merged_keeps_what_others_wrote(store: WatchedStore) -> None:
    """Promise 3: the new document holds more than this request knows of."""
    cookie = await stored_session(store, {"a": 1})
    one, two = await loaded(store, cookie), await loaded(store, cookie)
    one["one"] = 1
    await saved(store, one)
    two._rotate(follow=False)
    header = await saved(store, two)
    two["again"] = 3
    await saved(store, two)
    assert await loaded(store, value_in(header or "")) == {"a": 1, "one": 1, "again": 3}


async def test_a_touch_after_a_merge_keeps_what_others_wrote(store: WatchedStore, clock: Clock) -> None:
    """Promise 3: a touch changes no data."""
    cookie = await stored_session(store, {"a": 1})
    one, two = await loaded(store, cookie), await loaded(store, cookie)
    one["one"], two["two"] = 1, 2
    await saved(store, one)
    await saved(store, two)
    clock.now += 10
    await saved(store, two)
    assert await loaded(store, cookie) == {"a": 1, "one": 1, "two": 2}


async def test_saving_an_unchanged_session_again_writes_nothing(store: WatchedStore) -> None:
    """`save` refreshes the session's base."""
    session = await loaded(store, await stored_session(store, {"a": 1}))
    session["b"] = 2
    await saved(store, session)
    store.used.clear()
    assert (await saved(store, session), store.used) == (None, [])


async def test_what_a_dead_id_stores_is_not_even_tried(store: WatchedStore) -> None:
    """The tombstone was seen on load, so nothing is sent at the end of the request."""
    cookie = await stored_session(store, {"a": 1})
    await store.revoke_id(cookie)
    store.used.clear()
    session = await loaded(store, cookie)
    session["b"] = 2
    assert (await saved(store, session), store.used) == (None, ["read"])


async def test_saving_a_new_session_twice_stores_it_once(store: WatchedStore) -> None:
    """The second save has nothing to do, and a third one writes to the same document."""
    session = await store.open(None, None)
    session["a"] = 1
    header = await saved(store, session)
    assert await saved(store, session) is None
    session["b"] = 2
    await saved(store, session)
    assert (len(store._values), await loaded(store, value_in(header or ""))) == (1, {"a": 1, "b": 2})


async def test_a_plain_dict_with_a_regenerated_id_kills_what_the_old_id_became(store: WatchedStore) -> None:
    """Promise 4: a rotation beside it moved the session; the end of the old id follows it there."""
    cookie = await stored_session(store, {"a": 1})
    rotating = await loaded(store, cookie)
    rotating._rotate(follow=False)
    moved = value_in(await saved(store, rotating) or "")
    await saved(store, {"b": 1}, regenerate_old_id=cookie)
    assert await loaded(store, moved) == {}


async def test_a_plain_dict_is_a_new_session_and_the_old_id_is_dead(store: WatchedStore) -> None:
    """The contract of `regenerate_old_id`."""
    cookie = await stored_session(store, {"a": 1})
    new = value_in(await saved(store, {"b": 1}, regenerate_old_id=cookie) or "")
    assert (await loaded(store, cookie), await loaded(store, new)) == ({}, {"b": 1})


async def test_a_signed_in_user_with_an_explicit_rotation_gets_a_session_though_the_old_one_ended(
    store: WatchedStore,
) -> None:
    """A login on a browser whose old session was ended beside it is not lost."""
    cookie = await stored_session(store, {"a": 1})
    ending = await loaded(store, cookie)
    ending.clear()
    await saved(store, ending)
    session = await loaded(store, cookie)
    session["user_id"] = 7
    session._rotate(follow=False)
    header = await saved(store, session)
    assert header is not None
    assert await loaded(store, value_in(header)) == {"user_id": 7}


@pytest.mark.parametrize(
    ("value", "error"),
    [(object(), SessionNotSerializable), ((1,), SessionNotSerializable), ("x" * 70_000, SessionTooLarge)],
)
@pytest.mark.parametrize("ask", ["keep", "rotate", "renew", "regenerate"])
async def test_what_cannot_be_stored_leaves_the_session_as_it_was(
    store: WatchedStore, ask: str, value: Any, error: type[Exception]
) -> None:
    """Promise 11: nothing is written and the old id lives, whatever else the handler asked for."""
    cookie = await stored_session(store, {"a": 1})
    before = dict(store._values)
    session = await loaded(store, cookie)
    match ask:
        case "rotate" | "renew":
            session._rotate(follow=ask == "renew")
        case "regenerate":
            session._regenerate()
    session["bad"] = value
    with pytest.raises(error):
        await saved(store, session)
    assert store._values == before


async def test_a_session_made_by_the_app_itself_is_a_new_one(store: WatchedStore) -> None:
    """`save` accepts a `Session` that no store has opened."""
    header = await saved(store, Session(a=1))
    assert await loaded(store, value_in(header or "")) == {"a": 1}


async def test_a_clock_of_whole_seconds_sweeps_as_well() -> None:
    """Indexes whose sessions are over go with them."""
    now = [1_700_000_000]
    store = MemorySessionStore(config_with(max_age=60), clock=lambda: now[0])
    await Browser(store).visit(lambda session: session.update(user_id=5))
    now[0] += 61
    for _ in range(SWEEP_EVERY):
        await Browser(store).visit(lambda session: session.update(a=1))
    assert store._indexes == {}
