"""A user's sessions, on every store that keeps them on a server: who is listed, and what an end from outside ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from visits import put_in as put

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import MemorySessionStore, RedisSessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.codec import encode_user
from chirp.middleware.sessions.steps import Create, Delist, Enlist, Members
from chirp.middleware.sessions.user_index import CLOCK_SKEW_SECONDS, Member, index_key, write_member
from chirp.testing import Browser, ManualClock

HOUR, DAY = 3600, 86400

Store = MemorySessionStore | RedisSessionStore


@pytest.fixture
def store(make_server_store: Callable[..., Any]) -> Any:
    return make_server_store()


async def signed_in(store: Any, user: Any = 5, **data: Any) -> Browser:
    """Return a browser whose user has just signed in."""
    browser = Browser(store)
    await browser.visit(lambda session: regenerate_session().update(user_id=user, **data))
    return browser


async def handle_of(browser: Browser) -> str:
    return (await browser.begin()).session.handle


async def handles(store: Store, user: Any = 5) -> list[str]:
    return sorted(info.handle for info in await store.list_sessions(user))


async def members(store: Any, user: Any = 5) -> list[bytes]:
    ((reply),) = await store._run([Members(index_key(store.key_prefix, encode_user(user) or b""))])
    return sorted(reply)


async def test_a_users_sessions_are_listed_and_nobody_elses(store: Store) -> None:
    """Two devices of one user, one of another, and a visitor who has not signed in."""
    mine = [await signed_in(store) for _ in range(2)]
    await signed_in(store, 6)
    await Browser(store).visit(put(a=1))
    assert await handles(store) == sorted([await handle_of(browser) for browser in mine])


@pytest.mark.parametrize("user", [5, "5", "ä\n:*", 1.5, True, {"tenant": 1, "name": "a"}], ids=repr)
async def test_any_value_that_a_session_can_keep_is_a_user(store: Store, user: Any) -> None:
    """Whatever the app puts under the user key; and one value is never taken for another."""
    browser = await signed_in(store, user)
    others = {repr(other): other for other in (5, "5", 1, True, 1.0)}
    assert await handles(store, user) == [await handle_of(browser)]
    for name, other in others.items():
        assert name == repr(user) or await handles(store, other) == []


async def test_nobody_is_no_user(store: Store) -> None:
    """`None` under the user key is nobody, as where there is no such key."""
    await Browser(store).visit(put(user_id=None))
    assert await store.list_sessions(None) == []
    assert await store.revoke_user(None) == 0


async def test_what_is_told_of_a_session(store: Any, clock: ManualClock) -> None:
    """When it began, when it was seen, when it ends, how large it is; not what is in it."""
    began = clock.now
    browser = await signed_in(store, secret="s3cret")
    clock.now += HOUR
    await browser.visit()
    (info,) = await store.list_sessions(5)
    assert (info.user_id, info.created_at, info.last_seen_at) == (5, began, began + HOUR)
    assert info.expires_at == began + HOUR + DAY
    assert info.key == store.key_for(browser.cookie or "")
    assert info.size == len(await store._read(info.key) or b"")
    assert "s3cret" not in repr(info)
    assert await store.read_data(info) == {"user_id": 5, "secret": "s3cret"}


async def test_the_session_of_the_request_is_marked(store: Store) -> None:
    """A page of devices says which of them is this one."""
    here, _ = await signed_in(store), await signed_in(store)
    request = await here.begin()
    listed = asyncio.ensure_future(request.run(lambda session: asyncio.ensure_future(store.list_sessions(5))))
    current = {info.handle: info.current for info in await listed}
    assert current.pop(request.session.handle) is True
    assert list(current.values()) == [False]


async def test_the_session_seen_last_is_listed_first(store: Store, clock: ManualClock) -> None:
    """As a page of devices shows them."""
    browsers = [await signed_in(store) for _ in range(3)]
    expected = []
    for browser in (browsers[1], browsers[2], browsers[0]):
        clock.now += HOUR
        await browser.visit()
        expected.insert(0, await handle_of(browser))
    assert [info.handle for info in await store.list_sessions(5)] == expected


@pytest.mark.parametrize("how", ["rotate", "renew", "change"])
async def test_a_session_that_gets_a_new_id_is_listed_once(store: Store, how: str) -> None:
    """It keeps its handle, and its old id leaves the index."""
    browser = await signed_in(store)
    before = await handle_of(browser)
    await browser.visit({"rotate": lambda session: rotate_session(), "renew": renew, "change": put(a=1)}[how])
    assert await handles(store) == [before]
    assert len(await members(store)) == 1


def renew(session: Any) -> None:
    rotate_session(follow=True)


async def test_a_session_whose_user_changes_moves_to_that_users_list(store: Store) -> None:
    """Also where the app only sets the key."""
    browser = await signed_in(store)
    await browser.visit(put(user_id=6))
    assert (await handles(store), await handles(store, 6)) == ([], [await handle_of(browser)])
    assert await members(store) == []


async def test_a_session_that_loses_its_user_is_listed_no_more(store: Store) -> None:
    """The session goes on without one."""
    browser = await signed_in(store, a=1)
    await browser.visit(lambda session: session.pop("user_id"))
    assert await browser.read() == {"a": 1}
    assert (await handles(store), await members(store)) == ([], [])


@pytest.mark.parametrize("how", ["clear", "regenerate", "login"])
async def test_a_session_that_its_request_ends_leaves_the_index(store: Store, how: str) -> None:
    """Nothing of a logout stays behind."""
    browser = await signed_in(store)
    ends: dict[str, Any] = {
        "clear": lambda session: session.clear(),
        "regenerate": lambda session: regenerate_session(),
        "login": lambda session: regenerate_session().update(user_id=6),
    }
    await browser.visit(ends[how])
    assert (await handles(store), await members(store)) == ([], [])


async def test_an_expired_session_is_not_listed_and_is_forgotten_later(
    make_server_store: Callable[..., Any], clock: ManualClock
) -> None:
    """The next one that is put into the index drops it, once no clock of the app's hosts can take it for live."""
    store: Any = make_server_store(idle_timeout_seconds=HOUR)
    await signed_in(store)
    clock.now += HOUR
    assert await handles(store) == []
    fresh = await signed_in(store)
    assert len(await members(store)) == 2
    clock.now += CLOCK_SKEW_SECONDS + 1
    await fresh.visit()
    assert len(await members(store)) == 1


async def test_a_busy_session_stays_listed_for_ever(store: Store, clock: ManualClock) -> None:
    """Each touch moves its time in the index; another's login drops those whose time is over (no live one)."""
    browser = await signed_in(store)
    for _ in range(60):
        clock.now += HOUR
        await browser.visit()
    await signed_in(store)
    assert await handle_of(browser) in await handles(store)


async def test_a_session_that_was_in_no_index_is_listed_after_its_next_touch(store: Any, clock: ManualClock) -> None:
    """One that was stored by an earlier version, or whose index the server has lost."""
    browser = await signed_in(store)
    index = index_key(store.key_prefix, encode_user(5) or b"")
    await store._run([Delist(index, tuple(member.decode() for member in await members(store)))])
    assert await handles(store) == []
    clock.now += HOUR
    await browser.visit()
    assert await handles(store) == [await handle_of(browser)]


async def test_a_revoked_session_is_gone_at_its_next_request(store: Store) -> None:
    """And the user's others go on."""
    lost, kept = await signed_in(store, a=1), await signed_in(store, a=2)
    assert await store.revoke(await handle_of(lost), user_id=5) is True
    assert (await lost.read(), await kept.read()) == ({}, {"user_id": 5, "a": 2})
    assert await handles(store) == [await handle_of(kept)]


async def test_an_anonymous_visitor_finds_and_revokes_nothing(store: Store) -> None:
    """`None`, which is what `user_id` is for one, is no user, and not all of them."""
    browser = await signed_in(store)
    handle = await handle_of(browser)
    assert await store.revoke(handle, user_id=None) is False
    assert await store.find_session(handle, user_id=None) is None
    assert await browser.read() == {"user_id": 5}


async def test_a_script_revokes_what_stands_in_no_index(store: Any) -> None:
    """What was found is ended, whether an index knows of it or not."""
    browser = await signed_in(store)
    index = index_key(store.key_prefix, encode_user(5) or b"")
    await store._run([Delist(index, tuple(member.decode() for member in await members(store)))])
    assert await store.revoke(await handle_of(browser)) is True
    assert await browser.read() == {}


async def test_what_was_listed_is_revoked_under_the_id_that_it_has_by_then(store: Store) -> None:
    """Also where nothing remembers the old one."""
    browser = await signed_in(store)
    (info,) = await store.list_sessions(5)
    await browser.visit(lambda session: rotate_session())
    assert await store.revoke_found(info) is True
    assert await browser.read() == {}


async def test_a_session_emptied_by_removing_keys_leaves_the_index(store: Store) -> None:
    """It has ended as by a logout."""
    browser = await signed_in(store)
    await browser.visit(lambda session: session.pop("user_id"))
    assert (await browser.read(), await members(store)) == ({}, [])


async def test_a_logout_does_not_wait_for_the_index(store: Any) -> None:
    """The index may be on a node that is out: the session has ended, and the browser is told so."""
    browser = await signed_in(store)
    run = store._run

    async def without_indexes(steps: Any) -> Any:
        if any(isinstance(step, Delist) for step in steps):
            raise StoreUnavailable("the index is out")
        return await run(steps)

    store._run = without_indexes
    assert "Max-Age=0" in (await browser.visit(lambda session: session.clear()) or "")
    assert await store.list_sessions(5) == []


async def test_a_change_that_meets_a_longer_lifetime_keeps_the_session_listed(store: Any, clock: ManualClock) -> None:
    """It makes the session live on from its own time, as long as the other request wanted."""
    browser = await signed_in(store)
    clock.now += HOUR
    slow = await browser.begin()
    await browser.visit(lambda session: session.set_lifetime(30 * DAY))
    clock.now += HOUR
    slow.session["a"] = 1
    await slow.finish()
    clock.now += 30 * DAY - 60
    await signed_in(store)
    assert await handle_of(browser) in await handles(store)


async def test_a_user_cannot_revoke_anothers_session(store: Store) -> None:
    """A handle that was seen somewhere is not enough, where the app says whose session it has to be."""
    browser = await signed_in(store, 6)
    assert await store.revoke(await handle_of(browser), user_id=5) is False
    assert await browser.read() == {"user_id": 6}


@pytest.mark.parametrize("user", [5, None], ids=["signed in", "anonymous"])
async def test_a_script_revokes_by_the_handle_alone(store: Store, user: Any) -> None:
    """As an operator has it from a log; every session is looked through."""
    browser, other = Browser(store), await signed_in(store)
    await browser.visit(put(user_id=user, a=1))
    handle = await handle_of(browser)
    assert await store.revoke(handle) is True
    assert (await browser.read(), await other.read()) == ({}, {"user_id": 5})
    assert await store.revoke(handle) is False
    assert await handles(store) == [await handle_of(other)]


async def test_revoking_a_user_ends_every_session_but_the_one_to_keep(store: Store) -> None:
    """As after a change of password."""
    browsers = [await signed_in(store, number=number) for number in range(4)]
    other = await signed_in(store, 6)
    assert await store.revoke_user(5, keep=await handle_of(browsers[2])) == 3
    assert [len(await browser.read()) for browser in browsers] == [0, 0, 2, 0]
    assert await other.read() == {"user_id": 6}
    assert await store.revoke_user(5) == 1
    assert (await browsers[2].read(), await members(store)) == ({}, [])


async def test_a_revoked_session_is_not_revived_by_what_is_in_flight(store: Store) -> None:
    """Neither by a change, nor by a rotation of either kind, nor by a login of the same browser (promise 5)."""
    for handler in (put(b=2), lambda session: rotate_session(), renew, lambda session: session["a"].append(1)):
        browser = await signed_in(store, a=[])
        request = await browser.begin()
        request.run(handler)
        assert await store.revoke_user(5) == 1
        assert await request.finish() is None
        assert await browser.read() == {}
        assert await handles(store) == []


async def test_what_a_session_was_rotated_to_meanwhile_is_revoked(store: Store) -> None:
    """Both of its ids are dead then, whichever the index still named."""
    browser = await signed_in(store)
    old = browser.twin()
    await browser.visit(renew)
    assert await store.revoke(await handle_of(browser), user_id=5) is True
    assert (await browser.read(), await old.read()) == ({}, {})


@pytest.mark.parametrize("how", [lambda session: rotate_session(), renew, put(user_id=6)], ids=["rotate", "renew", "6"])
async def test_a_rotation_that_finds_its_session_ended_leaves_no_member(store: Store, how: Any) -> None:
    """What it had put into an index for the new id is taken out again."""
    browser = await signed_in(store)
    request = await browser.begin()
    await browser.twin().visit(lambda session: session.clear())
    request.run(how)
    assert await request.finish() is None
    assert (await members(store), await members(store, 6)) == ([], [])


@pytest.mark.parametrize("grace", [30, 0])
async def test_a_login_is_revoked_before_it_is_stored(make_server_store: Callable[..., Any], grace: int) -> None:
    """It stands in the index first, so whoever revokes its user in between finds it; the browser gets no cookie."""
    store = make_server_store(rotation_grace_seconds=grace)
    run = store._run

    async def revoking(steps: Any) -> Any:
        store._run = run
        enlist = [step for step in steps if isinstance(step, Enlist)]
        assert len(enlist) == 1
        await run(enlist)
        assert await store.revoke_user(5) == 0
        return await run(steps)

    browser = Browser(store)
    request = await browser.begin()
    request.run(lambda session: regenerate_session().update(user_id=5))
    store._run = revoking
    assert await request.finish() is None
    assert (browser.cookie, await handles(store)) == (None, [])


async def test_a_thousand_sessions_are_listed_and_revoked(store: Store) -> None:
    """A user whose client signs in again and again."""
    await asyncio.gather(*(signed_in(store) for _ in range(1000)))
    assert len(await store.list_sessions(5)) == 1000
    assert await store.revoke_user(5) == 1000
    assert await store.list_sessions(5) == []


async def test_members_that_others_have_put_into_an_index_do_no_harm(store: Any) -> None:
    """Neither when the user's sessions are listed, nor when they are revoked."""
    browser = await signed_in(store)
    key = index_key(store.key_prefix, encode_user(5) or b"")
    for member in ("", "no member", "a:b", f"{'h' * 16}:{'!' * 43}", write_member(Member("h" * 16, "0" * 64))):
        await store._run([Enlist(key, member, store.clock() + HOUR, 0, HOUR * 1000)])
    assert await handles(store) == [await handle_of(browser)]
    assert await store.revoke_user(5) == 1


async def test_a_session_is_listed_for_its_own_user_only(store: Any) -> None:
    """A member that names another user's session, planted or left behind, tells nothing of it."""
    browser = await signed_in(store, 6)
    (info,) = await store.list_sessions(6)
    member = write_member(Member(info.handle, info.key.removeprefix(store.key_prefix)))
    index = index_key(store.key_prefix, encode_user(5) or b"")
    await store._run([Enlist(index, member, store.clock() + HOUR, 0, 1000)])
    assert await handles(store) == []
    assert await browser.read() == {"user_id": 6}


async def test_every_session_is_looked_through(store: Store) -> None:
    """Those without a user as well; indexes, tombstones and what others keep there are none."""
    browsers = [await signed_in(store, number) for number in range(3)] + [Browser(store)]
    await browsers[3].visit(put(a=1))
    ended = await signed_in(store)
    await ended.visit(lambda session: session.clear())
    await store._run([Create(store.key_prefix + "f" * 64, b"{}", 60_000)])
    seen, progress, tombstones, unreadable = [], 0.0, 0, 0
    async for scan in store.scan_sessions():
        assert progress <= scan.progress <= 1
        progress = scan.progress
        seen += [info.handle for info in scan.sessions]
        tombstones, unreadable = tombstones + scan.tombstones, unreadable + scan.unreadable
    assert (sorted(seen), progress) == (sorted([await handle_of(browser) for browser in browsers]), 1.0)
    assert (tombstones, unreadable) == (1, 1)


async def test_the_time_that_sessions_have_left_is_the_stores(store: Any) -> None:
    """Of each of them, in order; one that has ended since it was listed has the grace at most."""
    await signed_in(store)
    ended = await store.list_sessions(5)
    await store.revoke_user(5)
    await signed_in(store)
    grace, left = await store.time_left([*ended, *await store.list_sessions(5)])
    assert 0 < grace <= store.config.rotation_grace_seconds
    assert DAY - 60 < left <= DAY
    assert await store.time_left([]) == []


async def test_a_session_that_was_found_is_ended(store: Any) -> None:
    """With a user and without, and wherever a rotation has taken it meanwhile."""
    for browser in (await signed_in(store), Browser(store)):
        await browser.visit(put(a=1))
        info = await store.find_session(await handle_of(browser))
        await browser.visit(lambda session: rotate_session())
        assert await store.revoke_found(info)
        assert (await browser.begin()).session == {}
        assert not await store.revoke_found(info)
