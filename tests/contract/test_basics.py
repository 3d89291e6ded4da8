"""What every store does: load, save, time limits, fidelity, and the rows of the table that need no server."""

import datetime as dt
import math
from typing import Any

import pytest
from visits import put_in as put

from chirp.errors import SessionNotSerializable, SessionTooLarge
from chirp.middleware.sessions import Session, regenerate_session, rotate_session
from chirp.testing import Browser, ManualClock


async def test_a_first_visit_sees_an_empty_session_and_sets_nothing(browser: Browser) -> None:
    """No cookie came and nothing was stored, so there is no cookie to set (table, row 1; promise 1)."""
    request = await browser.begin()
    assert (dict(request.session), request.session.is_new, request.session.id) == ({}, True, None)
    assert await request.finish() is None


async def test_what_was_stored_comes_back(browser: Browser) -> None:
    """A second request sees what the first one stored."""
    await browser.visit(put(cart=[1, {"two": None}], total=2.5, name="Zoë"))
    assert await browser.read() == {"cart": [1, {"two": None}], "total": 2.5, "name": "Zoë"}


async def test_an_unchanged_session_sets_no_cookie(browser: Browser) -> None:
    """Reading costs no write and no `Set-Cookie` (promise 2)."""
    await browser.visit(put(a=1))
    assert await browser.visit(lambda session: session["a"]) is None


async def test_equal_data_is_not_written(browser: Browser) -> None:
    """Storing what is there already is no change."""
    await browser.visit(put(a={"b": 1}))
    assert await browser.visit(put(a={"b": 1})) is None


async def test_a_nested_change_is_seen(browser: Browser) -> None:
    """A list that was appended to is stored although no key was assigned."""
    await browser.visit(put(cart=[1]))
    await browser.visit(lambda session: session["cart"].append(2))
    assert await browser.read() == {"cart": [1, 2]}


async def test_keys_that_start_with_underscores_are_kept(browser: Browser) -> None:
    """Names that the stored document uses itself are the user's all the same."""
    mine = {"__created_at": "x", "__last_seen_at": 1, "__anything": 2, "handle": 3, "data": 4, "id": "mine"}
    await browser.visit(put(**mine))
    assert await browser.read() == mine


async def test_stamps_under_configured_names_leave_the_users_keys_alone(make_store: Any) -> None:
    """The configured names of the stamps do not reach into the user's data."""
    browser = Browser(make_store(created_at_key="born", last_seen_at_key="seen"))
    await browser.visit(put(born="user's", seen="user's"))
    assert await browser.read() == {"born": "user's", "seen": "user's"}


async def test_created_and_last_seen_are_told(browser: Browser, clock: ManualClock) -> None:
    """The stamps are the times of the first request and of the last touch."""
    born = clock.now
    await browser.visit(put(a=1))
    clock.move(400)
    await browser.visit()
    clock.move(10)
    session = (await browser.begin()).session
    assert (session.created_at, session.last_seen_at) == (born, born + 400)


async def test_a_touch_slides_the_cookie(browser: Browser, clock: ManualClock) -> None:
    """A read-only request sets the same session's cookie again once the touch is due, so Max-Age slides."""
    await browser.visit(put(a=1))
    clock.move(299)
    assert await browser.visit() is None
    clock.move(2)
    header = await browser.visit()
    assert header is not None
    assert "Max-Age=86400" in header
    assert await browser.read() == {"a": 1}


async def test_a_session_at_its_idle_limit_is_expired(make_store: Any, clock: ManualClock) -> None:
    """Exactly at the limit counts as expired, and the store is who says so (promise 8)."""
    browser = Browser(make_store(idle_timeout_seconds=100, touch_interval_seconds=0))
    await browser.visit(put(a=1))
    clock.move(99.5)
    await browser.visit()
    clock.move(99.5)
    assert await browser.read() == {"a": 1}
    clock.move(0.5)
    assert await browser.read() == {}


async def test_the_absolute_limit_is_never_extended(make_store: Any, clock: ManualClock) -> None:
    """However busy, however changed and rotated, a session ends at its absolute limit (promise 8)."""
    browser = Browser(make_store(absolute_timeout_seconds=100, touch_interval_seconds=0))
    await browser.visit(put(a=0))
    for step in range(9):
        clock.move(10)
        await browser.visit(put(a=step + 1))
    await browser.visit(lambda session: rotate_session())
    clock.move(9.5)
    assert await browser.read() == {"a": 9}
    clock.move(0.5)
    assert await browser.read() == {}


async def test_a_login_starts_the_absolute_limit_anew_with_stamps(make_store: Any, clock: ManualClock) -> None:
    """A regenerated session has stamps of its own, so its limits fire as well."""
    browser = Browser(make_store(absolute_timeout_seconds=100))
    await browser.visit(put(a=1))
    clock.move(90)
    await browser.visit(lambda session: regenerate_session().update(user_id=7))
    clock.move(99)
    assert await browser.read() == {"user_id": 7}
    clock.move(1)
    assert await browser.read() == {}


async def test_clear_deletes_the_cookie(browser: Browser) -> None:
    """`clear()` ends the session and the browser forgets it."""
    await browser.visit(put(a=1))
    header = await browser.visit(lambda session: session.clear())
    assert header is not None
    assert "Max-Age=0" in header
    assert (browser.cookie, await browser.read()) == (None, {})


async def test_removing_every_key_deletes_the_cookie(browser: Browser) -> None:
    """An emptied session is not kept."""
    await browser.visit(put(a=1))
    header = await browser.visit(lambda session: session.pop("a"))
    assert header is not None
    assert "Max-Age=0" in header


async def test_regenerate_then_data_keeps_only_the_new_data(browser: Browser) -> None:
    """The old data is gone, the new data is there, under another cookie."""
    await browser.visit(put(old=1))
    before = browser.cookie
    await browser.visit(lambda session: regenerate_session().update(new=2))
    assert browser.cookie != before
    assert await browser.read() == {"new": 2}


async def test_regenerate_returns_the_same_object_emptied(browser: Browser) -> None:
    """Whoever holds the session sees it empty after `regenerate_session()`."""
    await browser.visit(put(old=1))
    request = await browser.begin()
    again = request.run(lambda session: regenerate_session())
    assert again is request.session
    assert (dict(again), again.id) == ({}, None)


async def test_rotate_keeps_data_handle_and_age(browser: Browser, clock: ManualClock) -> None:
    """A rotated session is the same session under another cookie."""
    await browser.visit(put(a=1))
    before, cookie = (await browser.begin()).session, browser.cookie
    clock.move(5)
    await browser.visit(lambda session: rotate_session())
    after = (await browser.begin()).session
    assert browser.cookie != cookie
    assert (dict(after), after.handle, after.created_at) == (dict(before), before.handle, before.created_at)


async def test_a_regenerated_session_has_another_handle(browser: Browser) -> None:
    """The new session cannot be told from the old one's public name."""
    await browser.visit(put(a=1))
    before = (await browser.begin()).session.handle
    await browser.visit(lambda session: regenerate_session().update(b=1))
    assert (await browser.begin()).session.handle != before


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43 + "!", "é" * 43, "a" * 5000, "null", "..", "a.b.c"])
async def test_a_malformed_or_forged_cookie_is_an_anonymous_session(browser: Browser, cookie: str) -> None:
    """Whatever a client sends, the request has an empty session and no cookie is set (table; promise 13)."""
    browser.cookie = cookie
    assert await browser.read() == {}
    assert await browser.visit() is None


UNFAITHFUL = {
    "datetime": (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 'session["v"]'),
    "tuple": ((1, 2), 'session["v"]'),
    "bytes": (b"x", 'session["v"]'),
    "nan": ([1, math.nan], 'session["v"][1]'),
    "int key": ({1: "x"}, 'session["v"]'),
    "surrogate": ({"deep": "\ud800"}, 'session["v"]["deep"]'),
    "object": ([[object()]], 'session["v"][0][0]'),
}


@pytest.mark.parametrize("name", UNFAITHFUL)
async def test_a_value_that_json_would_change_is_refused(browser: Browser, name: str) -> None:
    """The error names the path, and the stored session is as it was (promise 11)."""
    value, path = UNFAITHFUL[name]
    await browser.visit(put(a=1))
    with pytest.raises(SessionNotSerializable) as caught:
        await browser.visit(put(v=value))
    assert caught.value.path == path
    assert await browser.read() == {"a": 1}


async def test_a_login_with_an_unfaithful_value_changes_nothing(browser: Browser) -> None:
    """The old session is neither ended nor replaced when what follows cannot be stored."""
    await browser.visit(put(a=1))
    with pytest.raises(SessionNotSerializable):
        await browser.visit(lambda session: regenerate_session().update(user_id=7, when=dt.date(2026, 1, 1)))
    assert await browser.read() == {"a": 1}


async def test_a_document_over_the_limit_is_refused(make_store: Any) -> None:
    """`max_bytes` holds, the error says by how much, and the stored session is as it was."""
    browser = Browser(make_store(max_bytes=1000))
    await browser.visit(put(a=1))
    with pytest.raises(SessionTooLarge) as caught:
        await browser.visit(put(b="x" * 1000))
    assert caught.value.limit == 1000
    assert caught.value.size > 1000
    assert await browser.read() == {"a": 1}


async def test_committing_the_same_object_twice_stores_both(browser: Browser) -> None:
    """A script may save, change and save the same session again."""
    request = await browser.begin()
    request.session["a"] = 1
    await request.finish()
    request.session["b"] = 2
    await request.finish()
    assert await browser.read() == {"a": 1, "b": 2}


async def test_committing_twice_without_a_change_sets_one_cookie(browser: Browser) -> None:
    """The second commit of the same object has nothing to do."""
    request = await browser.begin()
    request.session["a"] = 1
    assert await request.finish() is not None
    assert await request.finish() is None


async def test_a_new_user_gets_a_new_cookie_without_asking(browser: Browser) -> None:
    """Setting the user key is a login, and no app can forget the new id (session fixation)."""
    await browser.visit(put(cart=[1]))
    before = browser.cookie
    await browser.visit(put(user_id=7))
    assert browser.cookie != before
    session: Session = (await browser.begin()).session
    assert (dict(session), session.user_id) == ({"cart": [1], "user_id": 7}, 7)


async def test_clear_and_then_data_starts_another_session(browser: Browser) -> None:
    """`clear()` ends the session; what is stored after it belongs to a new one."""
    await browser.visit(put(a=1))
    before, handle = browser.cookie, (await browser.begin()).session.handle

    def start_over(session: Session) -> None:
        session.clear()
        session["b"] = 2

    await browser.visit(start_over)
    after = (await browser.begin()).session
    assert browser.cookie != before
    assert after.handle != handle
    assert dict(after) == {"b": 2}
