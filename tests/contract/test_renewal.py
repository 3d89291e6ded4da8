"""`rotate_session(follow=True)`: periodic renewal, during which requests in flight still reach the session."""

from typing import Any

import pytest
from starlette.responses import Response
from visits import put_in as put

from chirp.middleware.sessions import Session, regenerate_session, rotate_session
from chirp.middleware.sessions.steps import Delete
from chirp.testing import Browser, ManualClock

MakeStore = Any


def renew(session: Session) -> None:
    rotate_session(follow=True)


async def renewed(browser: Browser, **values: Any) -> Browser:
    """Store values and renew the session; return a tab that still has the old cookie."""
    await browser.visit(put(**values))
    old = browser.twin()
    assert await browser.visit(renew) is not None
    assert browser.cookie != old.cookie
    return old


async def test_the_session_goes_on_under_a_new_id(server_browser: Browser) -> None:
    """With its data, its handle and its age."""
    await server_browser.visit(put(a=1))
    before = (await server_browser.begin()).session
    await server_browser.visit(renew)
    after = (await server_browser.begin()).session
    assert dict(after) == {"a": 1}
    assert (after.handle, after.created_at) == (before.handle, before.created_at)


async def test_a_request_with_the_old_id_reads_the_session(server_browser: Browser) -> None:
    """It was sent before the browser had the new cookie, and sets none."""
    old = await renewed(server_browser, a=1)
    request = await old.begin()
    assert dict(request.session) == {"a": 1}
    assert not request.session.is_new
    assert await request.finish() is None


async def test_a_request_with_the_old_id_writes_to_the_session(server_browser: Browser) -> None:
    """Read and written through to the successor."""
    old = await renewed(server_browser, a=1)
    assert await old.visit(put(b=2)) is None
    assert await server_browser.read() == {"a": 1, "b": 2}


async def test_a_change_in_flight_is_carried_over_to_the_successor(server_browser: Browser) -> None:
    """It had loaded the session before it was renewed, and loses nothing (promise 3)."""
    await server_browser.visit(put(a=1))
    late = await server_browser.twin().begin()
    late.session["late"] = 1
    await server_browser.visit(renew)
    await server_browser.visit(put(b=2))
    assert await late.finish() is None
    assert await server_browser.read() == {"a": 1, "b": 2, "late": 1}


async def test_an_object_saved_again_goes_straight_to_the_successor(server_browser: Browser) -> None:
    """The first save has learnt where the session is."""
    await server_browser.visit(put(a=1))
    late = await server_browser.twin().begin()
    await server_browser.visit(renew)
    for number in range(2):
        late.session[f"k{number}"] = number
        assert await late.finish() is None
    assert await server_browser.read() == {"a": 1, "k0": 0, "k1": 1}


async def test_a_touch_with_the_old_id_slides_the_session_and_sets_no_cookie(
    server_browser: Browser, clock: ManualClock
) -> None:
    """The browser has another cookie by now; the one that came must not come back."""
    old = await renewed(server_browser, a=1)
    late = await old.begin()
    clock.move(1000)
    assert await late.finish() is None
    assert (await server_browser.begin()).session.last_seen_at == clock()


@pytest.mark.parametrize("late", [False, True])
async def test_of_several_renewals_one_sets_a_cookie(server_browser: Browser, *, late: bool) -> None:
    """A further one is a no-op, whether it loaded before the first or came with the old id afterwards."""
    await server_browser.visit(put(a=1))
    old = server_browser.twin()
    second = await old.begin()
    await server_browser.visit(renew)
    if not late:
        second = await old.begin()
    current = server_browser.cookie
    second.run(renew)
    second.session["b"] = 2
    assert await second.finish() is None
    assert await Browser(server_browser.store, current).read() == {"a": 1, "b": 2}


async def test_a_renewal_that_was_not_needed_changes_nothing_more(server_browser: Browser) -> None:
    """The object stands as any other: what it changes next is written, and moves nothing."""
    old = await renewed(server_browser, a=1)
    request = await old.begin()
    request.run(renew)
    assert await request.finish() is None
    request.session["b"] = 2
    assert await request.finish() is None
    assert await server_browser.read() == {"a": 1, "b": 2}


async def test_renewals_in_a_row_are_followed(server_browser: Browser) -> None:
    """Within the grace the first id leads through all of them."""
    old = await renewed(server_browser, a=1)
    await server_browser.visit(renew)
    await server_browser.visit(renew)
    assert await old.read() == {"a": 1}
    await old.visit(put(b=2))
    assert await server_browser.read() == {"a": 1, "b": 2}


async def test_after_the_grace_the_old_id_leads_nowhere(make_server_store: MakeStore, clock: ManualClock) -> None:
    """It is forgotten then, like any id that nobody knows. (The server's own clock ends it on Redis.)"""
    browser = Browser(make_server_store(rotation_grace_seconds=0))
    old = await renewed(browser, a=1)
    assert await old.read() == {}
    assert await browser.read() == {"a": 1}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.clear(),
        lambda session: regenerate_session(),
        lambda session: regenerate_session().update(user_id=7),
    ],
    ids=["clear", "logout", "login"],
)
async def test_an_end_with_the_old_id_ends_the_renewed_session(
    server_browser: Browser, end: Any, *, late: bool
) -> None:
    """Whether it loaded before the renewal or came by way of it (promise 4)."""
    await server_browser.visit(put(a=1))
    old = server_browser.twin()
    request = await old.begin()
    await server_browser.visit(renew)
    if not late:
        request = await old.begin()
    request.run(end)
    await request.finish()
    assert await server_browser.read() == {}


async def test_a_logout_with_the_old_id_deletes_no_cookie(server_browser: Browser) -> None:
    """The document died under another id, whose cookie a late deletion would wipe."""
    old = await renewed(server_browser, a=1)
    assert await old.visit(lambda session: session.clear()) is None


async def test_an_end_after_a_way_has_expired_still_ends_the_session(server_browser: Browser) -> None:
    """A request that takes longer than the grace knows where it was led, and ends that."""
    store = server_browser.store
    for end in (lambda session: session.clear(), lambda session: regenerate_session()):
        browser = Browser(store)
        old = await renewed(browser, a=1)
        request = await old.begin()
        request.run(end)
        await store._run([Delete(store.key_for(old.cookie or ""))])
        await request.finish()
        assert await browser.read() == {}


async def test_a_save_with_its_own_old_id_ends_the_session_after_the_way_there_has_expired(
    server_browser: Browser,
) -> None:
    """`regenerate_old_id=session.id` is an end as any other."""
    store = server_browser.store
    old = await renewed(server_browser, a=1)
    session = (await old.begin()).session
    await store._run([Delete(store.key_for(old.cookie or ""))])
    await store.save(Response(), session, regenerate_old_id=session.id)
    assert await server_browser.read() == {}


async def test_an_ended_session_is_not_reached_by_the_old_id(server_browser: Browser) -> None:
    """The way leads to a tombstone then: nothing is read, stored or set (promise 4)."""
    old = await renewed(server_browser, a=1)
    await server_browser.visit(lambda session: session.clear())
    assert await old.read() == {}
    assert await old.visit(put(b=2)) is None
    assert await old.read() == {}


@pytest.mark.parametrize(
    "login",
    [put(user_id=7), lambda session: (session.update(user_id=7), rotate_session(follow=True))],
    ids=["user key", "user key and a renewal"],
)
@pytest.mark.parametrize("reached", ["before", "by the old id", "in flight"])
async def test_a_planted_id_does_not_follow_into_a_login(server_browser: Browser, login: Any, reached: str) -> None:
    """A renewal is no way in: whoever signs in gets an id that the planted one does not lead to (promise 6)."""
    await server_browser.visit(put(planted=1))
    thief, victim = server_browser.twin(), server_browser.twin()
    request = await victim.begin()
    if reached != "before":
        await server_browser.visit(renew)
    if reached == "by the old id":
        request = await victim.begin()
    request.run(login)
    assert await request.finish() is not None
    assert (await victim.read())["user_id"] == 7
    assert await thief.read() == {}
    assert await server_browser.read() == {}


@pytest.mark.parametrize("late", [False, True])
async def test_a_rotation_is_never_left_out_because_of_a_renewal(server_browser: Browser, *, late: bool) -> None:
    """An app rotates where privileges change, so nobody who knows the old id may follow (promise 6)."""
    await server_browser.visit(put(a=1))
    thief, victim = server_browser.twin(), server_browser.twin()
    request = await victim.begin()
    await server_browser.visit(renew)
    if not late:
        request = await victim.begin()
    request.run(lambda session: rotate_session().update(admin=True))
    assert await request.finish() is not None
    assert await victim.read() == {"a": 1, "admin": True}
    assert await thief.read() == {}


async def test_a_session_emptied_by_way_of_the_old_id_is_gone(server_browser: Browser) -> None:
    """It is deleted, and no cookie with it: the browser's is another one."""
    old = await renewed(server_browser, a=1)
    assert await old.visit(lambda session: session.pop("a")) is None
    assert await server_browser.read() == {}


async def test_a_revoked_id_ends_what_it_was_renewed_to(server_browser: Browser) -> None:
    """An operator who ends a session by an id of its past ends it as it is now (promise 5)."""
    old = await renewed(server_browser, a=1)
    await server_browser.store.revoke_id(old.cookie or "")
    assert await server_browser.read() == {}


async def test_a_revoked_session_is_not_revived_by_what_is_in_flight(server_browser: Browser) -> None:
    """Neither by a change nor by a rotation of either kind (promise 5)."""
    for handler in (put(b=2), lambda session: rotate_session(), renew, put(user_id=7)):
        browser = Browser(server_browser.store)
        await browser.visit(put(a=1))
        request = await browser.begin()
        request.run(handler)
        await browser.store.revoke_id(browser.cookie or "")
        assert await request.finish() is None
        assert await browser.read() == {}


async def test_revoking_a_malformed_id_asks_nobody(server_browser: Browser) -> None:
    """No session has such an id."""
    await server_browser.store.revoke_id("no id")
