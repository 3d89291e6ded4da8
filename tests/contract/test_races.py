"""Requests of one session that overlap, each interleaving forced: one request is held between load and save."""

import asyncio
from typing import Any

import pytest
from visits import put_in as put

from chirp.middleware.sessions import Session, regenerate_session, rotate_session
from chirp.middleware.sessions.steps import Delete
from chirp.testing import Browser, ManualClock

ENDS = {
    "clear": lambda session: session.clear(),
    "logout": lambda session: regenerate_session(),
    "login": lambda session: regenerate_session().update(user_id=7),
    "rotate": lambda session: rotate_session(),
}


async def test_parallel_changes_of_different_keys_are_all_kept(server_browser: Browser) -> None:
    """The later save merges with the earlier one (promise 3)."""
    await server_browser.visit(put(base=0, gone=1))
    first, second = await server_browser.begin(), await server_browser.begin()
    first.session["a"] = 1
    del first.session["gone"]
    second.session["b"] = 2
    await first.finish()
    await second.finish()
    assert await server_browser.read() == {"base": 0, "a": 1, "b": 2}


async def test_of_two_changes_of_one_key_the_later_wins(server_browser: Browser) -> None:
    """A merge is by top-level keys (promise 3)."""
    await server_browser.visit(put(a=0))
    first, second = await server_browser.begin(), await server_browser.begin()
    first.session["a"] = "first"
    second.session["a"] = "second"
    await second.finish()
    await first.finish()
    assert await server_browser.read() == {"a": "first"}


async def test_a_change_from_one_to_true_is_merged_as_a_change(server_browser: Browser) -> None:
    """Encoded values are compared, since `True == 1`."""
    await server_browser.visit(put(a=1))
    first, second = await server_browser.begin(), await server_browser.begin()
    first.session["b"] = 1
    second.session["a"] = True
    await first.finish()
    await second.finish()
    assert (await server_browser.read())["a"] is True


async def test_fifty_parallel_writers_lose_nothing(server_browser: Browser) -> None:
    """All of them load before any of them saves (promise 3)."""
    await server_browser.visit(put(base=0))
    requests = [await server_browser.begin() for _ in range(50)]
    for number, request in enumerate(requests):
        request.session[f"k{number}"] = number
    await asyncio.gather(*(request.finish() for request in requests))
    assert await server_browser.read() == {"base": 0, **{f"k{number}": number for number in range(50)}}


async def test_of_fifty_parallel_writers_of_one_key_the_last_wins(server_browser: Browser) -> None:
    """In the order in which they save, though they are merged together; and nothing else is lost (promise 3)."""
    await server_browser.visit(put(base=0))
    requests = [await server_browser.begin() for _ in range(50)]
    for number, request in enumerate(requests):
        request.session["same"] = number
    await asyncio.gather(*(request.finish() for request in requests))
    assert await server_browser.read() == {"base": 0, "same": 49}


async def test_first_visits_in_parallel_each_have_a_session_of_their_own(server_browser: Browser) -> None:
    """Both have loaded nothing; the browser keeps the cookie that comes last, and it leads to what that one stored."""
    first, second = await server_browser.begin(), await server_browser.begin()
    first.session["first"] = 1
    second.session["second"] = 2
    assert await second.finish() is not None
    other = server_browser.twin()
    assert await first.finish() is not None
    assert await server_browser.read() == {"first": 1}
    assert await other.read() == {"second": 2}


@pytest.mark.parametrize("late", ["save", "touch", "rotate", "renew"])
async def test_what_comes_after_the_expiry_does_not_bring_the_session_back(server_browser: Browser, late: str) -> None:
    """The server has deleted it between load and save: it stays gone, and no cookie is set (promise 4)."""
    await server_browser.visit(put(a=1))
    old, store = server_browser.cookie, server_browser.store
    request = await server_browser.begin()
    match late:
        case "save":
            request.session["late"] = 1
        case "touch":
            store.clock.move(1000)
        case _:
            request.run(lambda session: rotate_session(follow=late == "renew"))
    await store._run([Delete(store.key_for(old or ""))])
    assert await request.finish() is None
    assert await Browser(store, old).read() == {}


async def test_an_object_saved_again_after_a_merge_keeps_what_others_wrote(server_browser: Browser) -> None:
    """The base of the next save is this object's own data, not the merged document's (section 2)."""
    await server_browser.visit(put(base=0))
    first, second = await server_browser.begin(), await server_browser.begin()
    first.session["a"] = 1
    second.session["b"] = 2
    await first.finish()
    await second.finish()
    second.session["c"] = 3
    await second.finish()
    assert await server_browser.read() == {"base": 0, "a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("end", ENDS)
async def test_a_save_in_flight_does_not_bring_an_ended_session_back(server_browser: Browser, end: str) -> None:
    """Gone meanwhile stays gone, and the late request sets no cookie (promise 4)."""
    await server_browser.visit(put(a=1))
    old = server_browser.cookie
    late = await server_browser.begin()
    late.session["late"] = 1
    await server_browser.visit(ENDS[end])
    current = server_browser.cookie
    assert await late.finish() is None
    assert server_browser.cookie == current
    assert await Browser(server_browser.store, old).read() == {}
    assert "late" not in await server_browser.read()


@pytest.mark.parametrize("end", ENDS)
async def test_a_touch_in_flight_does_not_bring_an_ended_session_back(
    server_browser: Browser, clock: ManualClock, end: str
) -> None:
    """A touch that comes too late is dropped, without a cookie (promise 4)."""
    await server_browser.visit(put(a=1))
    old = server_browser.cookie
    clock.move(1000)
    late = await server_browser.begin()
    await server_browser.visit(ENDS[end])
    assert await late.finish() is None
    assert await Browser(server_browser.store, old).read() == {}


@pytest.mark.parametrize("end", ["clear", "logout", "login"])
async def test_a_rotation_in_flight_does_not_revive_an_ended_session(server_browser: Browser, end: str) -> None:
    """The rotation finds the old key dead, and takes its new key back (promise 5)."""
    await server_browser.visit(put(a=1))
    late = await server_browser.begin()
    late.run(lambda session: rotate_session())
    await server_browser.visit(ENDS[end])
    cookie = server_browser.cookie
    assert await late.finish() is None
    assert server_browser.cookie == cookie


@pytest.mark.parametrize("end", ["clear", "logout", "login"])
async def test_an_end_follows_a_rotation_that_was_faster(server_browser: Browser, end: str) -> None:
    """What the session was rotated to while the logout ran dies as well (promise 4)."""
    await server_browser.visit(put(a=1))
    late = await server_browser.begin()
    late.run(ENDS[end])
    rotated = Browser(server_browser.store, server_browser.cookie)
    await rotated.visit(lambda session: rotate_session())
    await rotated.visit(lambda session: rotate_session())
    header = await late.finish()
    assert await rotated.read() == {}
    if end == "clear":
        assert header is None  # it died under another id, whose cookie a deletion could not name


async def test_a_rotation_takes_along_what_was_written_meanwhile(server_browser: Browser) -> None:
    """The move is a compare-and-set, merged on conflict (promise 3)."""
    await server_browser.visit(put(a=1))
    late = await server_browser.begin()
    late.run(lambda session: rotate_session().update(mine=1))
    await server_browser.visit(put(b=2))
    assert await late.finish() is not None
    assert await server_browser.read() == {"a": 1, "b": 2, "mine": 1}


async def test_of_two_rotations_one_sets_a_cookie(server_browser: Browser) -> None:
    """The other finds the session moved and leaves the browser alone."""
    await server_browser.visit(put(a=1))
    first, second = await server_browser.begin(), await server_browser.begin()
    for request in (first, second):
        request.run(lambda session: rotate_session())
    assert await first.finish() is not None
    assert await second.finish() is None
    assert await server_browser.read() == {"a": 1}


async def test_a_first_store_beside_a_login_sets_no_cookie(server_browser: Browser) -> None:
    """Both carry an id that leads nowhere; the login must not lose its cookie to the other (promise 7)."""
    server_browser.cookie = "u" * 43
    late, login = await server_browser.begin(), await server_browser.begin()
    late.session["late"] = 1
    login.run(ENDS["login"])
    await login.finish()
    assert await late.finish() is None
    assert await server_browser.read() == {"user_id": 7}


@pytest.mark.parametrize("others", ["read", "write", "touch"])
async def test_requests_beside_a_login_do_not_log_the_browser_out(
    server_browser: Browser, clock: ManualClock, others: str
) -> None:
    """Whether they load before or after it, requests with the old cookie set none (promise 7)."""
    await server_browser.visit(put(a=1))
    old = Browser(server_browser.store, server_browser.cookie)
    if others == "touch":
        clock.move(1000)
    before = await server_browser.begin()
    await server_browser.visit(ENDS["login"])
    after = await old.begin()
    for request in (before, after):
        if others == "write":
            request.session["x"] = 1
        assert await request.finish() is None
    assert await server_browser.read() == {"user_id": 7}


async def test_a_touch_that_loses_its_compare_is_dropped(server_browser: Browser, clock: ManualClock) -> None:
    """A touch never merges: it would bring back what another request has just consumed."""
    await server_browser.visit(put(flash="once", a=1))
    clock.move(1000)
    touch = await server_browser.begin()
    await server_browser.visit(lambda session: session.pop("flash"))
    assert await touch.finish() is None
    assert await server_browser.read() == {"a": 1}


async def test_an_emptied_session_survives_what_another_request_added(server_browser: Browser) -> None:
    """Removing keys is an ordinary write: only an empty result is deleted."""
    await server_browser.visit(put(flash="once"))
    emptied = await server_browser.begin()
    emptied.session.pop("flash")
    await server_browser.visit(put(cart=[1]))
    assert await emptied.finish() is None
    assert await server_browser.read() == {"cart": [1]}


async def test_an_object_that_was_emptied_beside_a_change_can_be_saved_again(server_browser: Browser) -> None:
    """What others added has kept the session alive, and is kept again."""
    await server_browser.visit(put(flash=1))
    emptied = await server_browser.begin()
    emptied.session.pop("flash")
    await server_browser.twin().visit(put(added=1))
    await emptied.finish()
    emptied.session["more"] = 1
    await emptied.finish()
    assert await server_browser.read() == {"added": 1, "more": 1}


async def test_a_merge_over_the_limit_is_refused_and_the_stored_session_stays(make_server_store: Any) -> None:
    """Two changes that fit alone may not fit together; the later one fails loudly (promise 11)."""
    from chirp.errors import SessionTooLarge  # noqa: PLC0415

    browser = Browser(make_server_store(max_bytes=1000))
    await browser.visit(put(a=0))
    first, second = await browser.begin(), await browser.begin()
    first.session["b"] = "x" * 500
    second.session["c"] = "y" * 500
    await first.finish()
    with pytest.raises(SessionTooLarge):
        await second.finish()
    assert set(await browser.read()) == {"a", "b"}


async def test_a_rotation_that_no_longer_fits_leaves_nothing_behind(
    make_server_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored session stays under its id, and the document under the new one is taken back (promise 11)."""
    from chirp.errors import SessionTooLarge  # noqa: PLC0415
    from chirp.middleware.sessions import session_id  # noqa: PLC0415

    browser = Browser(make_server_store(max_bytes=1000))
    await browser.visit(put(a=0))
    late = await browser.begin()
    late.run(lambda session: rotate_session().update(b="x" * 500))
    await browser.visit(put(c="y" * 500))
    monkeypatch.setattr(session_id, "mint", lambda: "n" * 43)
    with pytest.raises(SessionTooLarge):
        await late.finish()
    assert set(await browser.read()) == {"a", "c"}
    assert await browser.store._read(browser.store.key_for("n" * 43)) is None


async def test_a_rotation_with_nothing_left_is_an_emptied_session(server_browser: Browser) -> None:
    """There is nothing to carry over, so the session is deleted and the cookie with it."""
    await server_browser.visit(put(a=1))
    header = await server_browser.visit(lambda session: rotate_session().pop("a"))
    assert header is not None
    assert "Max-Age=0" in header
    assert await server_browser.read() == {}


async def test_a_login_with_a_rotated_id_ends_nobody_elses_session(server_browser: Browser) -> None:
    """Whoever holds a dead id and signs in with it must not reach what that id became (promises 6 and 7)."""
    await server_browser.visit(put(a=1))
    other = Browser(server_browser.store, server_browser.cookie)
    await server_browser.visit(lambda session: rotate_session())
    await other.visit(ENDS["login"])
    assert await other.read() == {"user_id": 7}
    assert await server_browser.read() == {"a": 1}


@pytest.mark.parametrize("end", ["clear", "logout", "login"])
async def test_a_rotation_that_comes_too_late_leaves_no_copy(
    server_browser: Browser, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The document under the new id, which nobody was told, is deleted again."""
    from chirp.middleware.sessions import session_id  # noqa: PLC0415

    await server_browser.visit(put(card="4111"))
    late = await server_browser.begin()
    late.run(lambda session: rotate_session())
    await server_browser.visit(ENDS[end])
    monkeypatch.setattr(session_id, "mint", lambda: "n" * 43)
    await late.finish()
    assert await server_browser.store._read(server_browser.store.key_for("n" * 43)) is None


async def test_a_rotation_whose_client_goes_away_leaves_no_copy(
    server_browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled request goes on to take back what its rotation put there."""
    from chirp.middleware.sessions import session_id  # noqa: PLC0415

    store = server_browser.store
    await server_browser.visit(put(card="4111"))
    late = await server_browser.begin()
    late.run(lambda session: rotate_session())
    await server_browser.visit(ENDS["clear"])
    monkeypatch.setattr(session_id, "mint", lambda: "n" * 43)
    between, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    run = store._run

    async def held(steps: Any) -> Any:
        replies = await run(steps)
        if len(steps) == 1:
            done.set()
        else:
            between.set()
            await go_on.wait()
        return replies

    monkeypatch.setattr(store, "_run", held)
    request = asyncio.create_task(late.finish())
    await between.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    go_on.set()
    await asyncio.wait_for(done.wait(), 5)
    assert await store._read(store.key_for("n" * 43)) is None


async def test_a_deleted_session_is_not_recreated_by_a_change(server_browser: Browser) -> None:
    """A session that was emptied and deleted stays gone for a request that still had it loaded."""
    await server_browser.visit(put(a=1))
    late = await server_browser.begin()
    late.session["late"] = 1
    await server_browser.visit(lambda session: session.pop("a"))
    old = late.session.id
    assert await late.finish() is None
    assert await Browser(server_browser.store, old).read() == {}


async def test_random_overlaps_lose_nothing_and_revive_nothing(server_browser: Browser) -> None:
    """The randomised twin of the forced races: writers beside one end, in whatever order the loop takes them."""
    for round_ in range(100):
        browser = Browser(server_browser.store)
        await browser.visit(put(base=round_))
        old = browser.cookie
        writers = [Browser(browser.store, old) for _ in range(5)]

        def change(number: int) -> Any:
            def handler(session: Session) -> None:
                session[f"k{number}"] = number

            return handler

        await asyncio.gather(
            *(writer.visit(change(number)) for number, writer in enumerate(writers)),
            browser.visit(ENDS["login"]),
        )
        assert await Browser(browser.store, old).read() == {}
        assert await browser.read() == {"user_id": 7}
