"""A user has as many sessions as `max_sessions_per_user` allows, on every store that keeps them on a server."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from visits import put_in as put

from chirp.errors import SessionLimitReached
from chirp.middleware.sessions import MemorySessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.steps import Enlist
from chirp.testing import Browser, InFlight, ManualClock

MakeStore = Callable[..., Any]


def sign_in(user: Any = 5) -> Callable[[Any], Any]:
    return lambda session: regenerate_session().update(user_id=user)


async def signed_in(store: Any, clock: ManualClock, user: Any = 5) -> Browser:
    """Return a browser whose user signs in, a second later than the one before."""
    clock.now += 1
    browser = Browser(store)
    await browser.visit(sign_in(user))
    return browser


async def alive(*browsers: Browser) -> list[bool]:
    return [bool(await browser.read()) for browser in browsers]


async def about_to_sign_in(store: Any, clock: ManualClock) -> InFlight:
    clock.now += 1
    request = await Browser(store).begin()
    request.run(sign_in())
    return request


async def test_one_too_many_ends_the_oldest(make_server_store: MakeStore, clock: ManualClock) -> None:
    """The one that began first, however recently it was used; other users' sessions go on."""
    store = make_server_store(max_sessions_per_user=2, touch_interval_seconds=0)
    other = await signed_in(store, clock, 6)
    first, second = await signed_in(store, clock), await signed_in(store, clock)
    await first.visit()
    third = await signed_in(store, clock)
    assert await alive(first, second, third, other) == [False, True, True, True]


async def test_one_too_many_is_refused(make_server_store: MakeStore, clock: ManualClock) -> None:
    """Nothing is written, and what the browser had before goes on."""
    store = make_server_store(max_sessions_per_user=1, on_session_limit="refuse")
    first, second = await signed_in(store, clock), Browser(store)
    await second.visit(put(cart=[1]))
    with pytest.raises(SessionLimitReached, match="max_sessions_per_user=1") as refused:
        await second.visit(sign_in())
    assert refused.value.limit == 1
    assert (await first.read(), await second.read()) == ({"user_id": 5}, {"cart": [1]})


@pytest.mark.parametrize("handler", [put(user_id=5), sign_in()], ids=["change of user", "login"])
async def test_every_way_to_sign_in_counts(
    make_server_store: MakeStore, clock: ManualClock, handler: Callable[[Any], Any]
) -> None:
    """Also that of an app that only sets the key, in a session that is there already."""
    store = make_server_store(max_sessions_per_user=1)
    first, second = await signed_in(store, clock), Browser(store)
    await second.visit(put(cart=[1]))
    await second.visit(handler)
    assert await alive(first, second) == [False, True]


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
async def test_what_is_no_further_session_never_counts(
    make_server_store: MakeStore, clock: ManualClock, policy: str
) -> None:
    """A login in the same browser takes the place of the one before; a rotation is the same session."""
    store = make_server_store(max_sessions_per_user=2, on_session_limit=policy)
    first, second = await signed_in(store, clock), await signed_in(store, clock)
    for handler in (sign_in(), lambda session: rotate_session(), put(a=1)):
        await second.visit(handler)
    assert await alive(first, second) == [True, True]


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
async def test_a_session_that_is_over_leaves_its_place(
    make_server_store: MakeStore, clock: ManualClock, policy: str
) -> None:
    """After a logout, and after its time."""
    store = make_server_store(max_sessions_per_user=1, on_session_limit=policy, idle_timeout_seconds=60)
    first = await signed_in(store, clock)
    await first.visit(lambda session: session.clear())
    second = await signed_in(store, clock)
    assert await alive(second) == [True]
    clock.now += 60
    assert await alive(await signed_in(store, clock)) == [True]


async def test_visitors_without_a_user_are_not_counted(make_server_store: MakeStore) -> None:
    """The limit is one for each user."""
    store = make_server_store(max_sessions_per_user=1, on_session_limit="refuse")
    browsers = [Browser(store) for _ in range(3)]
    for browser in browsers:
        await browser.visit(put(a=1))
    assert await alive(*browsers) == [True, True, True]


async def test_logins_at_the_same_time_keep_to_the_limit(make_server_store: MakeStore, clock: ManualClock) -> None:
    """All of them have loaded before any of them is stored; more may be ended than have to be, but not all."""
    store = make_server_store(max_sessions_per_user=2)
    requests = [await about_to_sign_in(store, clock) for _ in range(8)]
    await asyncio.gather(*(request.finish() for request in requests))
    left = await store.list_sessions(5)
    assert 1 <= len(left) <= 2
    assert sum(await alive(*(request.browser for request in requests))) == len(left)


async def test_of_refused_logins_at_the_same_time_none_is_one_too_many(
    make_server_store: MakeStore, clock: ManualClock
) -> None:
    """More may be refused than have to be, never fewer; a later one is let in."""
    store = make_server_store(max_sessions_per_user=2, on_session_limit="refuse")
    requests = [await about_to_sign_in(store, clock) for _ in range(8)]
    results = await asyncio.gather(*(request.finish() for request in requests), return_exceptions=True)
    let_in = [result for result in results if not isinstance(result, BaseException)]
    assert all(isinstance(result, SessionLimitReached) for result in results if isinstance(result, BaseException))
    assert len(let_in) == len(await store.list_sessions(5)) <= 2
    if len(let_in) < 2:
        assert await alive(await signed_in(store, clock)) == [True]


@pytest.mark.parametrize("policy", ["end_oldest", "refuse"])
async def test_a_limit_that_was_lowered_ends_nothing_before_the_next_login(
    make_server_store: MakeStore, clock: ManualClock, policy: str
) -> None:
    """A rotation of one session is no reason to count the others."""
    before = make_server_store()
    first, second = await signed_in(before, clock), await signed_in(before, clock)
    limited = before if isinstance(before, MemorySessionStore) else make_server_store(max_sessions_per_user=1)
    limited.config = replace(before.config, max_sessions_per_user=1, on_session_limit=policy)
    second.store = limited
    await second.visit(lambda session: rotate_session())
    assert await alive(first, second) == [True, True]


async def test_a_login_that_is_revoked_while_it_is_stored_ends_no_other(
    make_server_store: MakeStore, clock: ManualClock
) -> None:
    """It takes nobody's place, since it has none."""
    store = make_server_store(max_sessions_per_user=1)
    run = store._run

    async def revoking(steps: Any) -> Any:
        store._run = run
        (enlist,) = [step for step in steps if isinstance(step, Enlist)]
        await run([enlist])
        await store.revoke_user(5)
        await signed_in(store, clock)
        return await run(steps)

    request = await about_to_sign_in(store, clock)
    store._run = revoking
    assert await request.finish() is None
    assert len(await store.list_sessions(5)) == 1
