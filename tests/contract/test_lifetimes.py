"""A session with a lifetime of its own: longer or shorter than the others', or as long as the browser is open."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response
from visits import put_in as put

from chirp.errors import ConfigurationError, SessionClosed
from chirp.middleware.sessions import Session, regenerate_session, rotate_session
from chirp.testing import Browser, ManualClock

DAY, MONTH = 86400, 30 * 86400
PERSISTENT = f"Max-Age={MONTH};"

MakeStore = Any


def remember(session: Session) -> None:
    session.set_lifetime(MONTH)


def until_the_browser_ends(session: Session) -> None:
    session.set_lifetime(persistent=False)


async def remembered(browser: Browser) -> Browser:
    """Store something in a session, and give it a month."""
    await browser.visit(put(a=1))
    header = await browser.visit(remember)
    assert header is not None
    assert PERSISTENT in header
    return browser


async def lifetime_of(browser: Browser) -> tuple[int | None, bool]:
    """Return what a request finds."""
    session = (await browser.begin()).session
    return session.max_age, session.persistent


async def test_a_session_has_the_configs_lifetime_at_first(browser: Browser) -> None:
    """Nothing is stored about it."""
    await browser.visit(put(a=1))
    assert await lifetime_of(browser) == (None, True)


async def test_a_new_session_may_have_a_lifetime_of_its_own(browser: Browser, clock: ManualClock) -> None:
    """It is created with it, and lives to the last second of it."""

    def first_visit(session: Session) -> None:
        session["a"] = 1
        session.set_lifetime(MONTH)

    header = await browser.visit(first_visit)
    assert header is not None
    assert PERSISTENT in header
    clock.move(MONTH - 0.5)
    assert await browser.read() == {"a": 1}
    clock.move(0.5)
    assert await browser.read() == {}


async def test_a_stored_session_gets_its_lifetime_at_the_end_of_the_request(
    browser: Browser, clock: ManualClock
) -> None:
    """Although its data did not change and no touch was due."""
    await remembered(browser)
    clock.move(DAY + 1)
    assert await browser.read() == {"a": 1}
    assert await lifetime_of(browser) == (MONTH, True)


async def test_a_lifetime_may_be_shorter_than_the_configs(browser: Browser, clock: ManualClock) -> None:
    """It counts from the request that set it."""
    await browser.visit(put(a=1))
    clock.move(200)
    await browser.visit(lambda session: session.set_lifetime(60))
    clock.move(59.5)
    assert await browser.read() == {"a": 1}
    clock.move(0.5)
    assert await browser.read() == {}


async def test_a_lifetime_slides_by_its_own_window(browser: Browser, clock: ManualClock) -> None:
    """A touch moves the end of it, and the cookie's Max-Age."""
    await remembered(browser)
    clock.move(MONTH - 1)
    header = await browser.visit()
    assert header is not None
    assert PERSISTENT in header
    clock.move(MONTH - 1)
    assert await browser.read() == {"a": 1}


async def test_a_short_lifetime_is_touched_often_enough(browser: Browser, clock: ManualClock) -> None:
    """5 % of its own window: the config's 300 seconds would let it expire in use."""
    await browser.visit(put(a=1))
    await browser.visit(lambda session: session.set_lifetime(60))
    for _ in range(30):
        clock.move(4)
        await browser.visit()
    assert await browser.read() == {"a": 1}


async def test_the_idle_timeout_holds_all_the_same(make_store: MakeStore, clock: ManualClock) -> None:
    """Who is remembered is not seen less often."""
    browser = await remembered(Browser(make_store(idle_timeout_seconds=1800)))
    clock.move(1799.5)
    assert await browser.read() == {"a": 1}
    clock.move(0.5)
    assert await browser.read() == {}


async def test_the_absolute_timeout_holds_all_the_same(make_store: MakeStore, clock: ManualClock) -> None:
    """From the creation, whatever lifetime was set later."""
    browser = await remembered(Browser(make_store(absolute_timeout_seconds=2 * DAY)))
    clock.move(2 * DAY)
    assert await browser.read() == {}


async def test_a_cookie_may_end_with_the_browser(browser: Browser, clock: ManualClock) -> None:
    """It has no Max-Age, neither when it is set nor when it slides; on the server the session ends as all do."""
    await browser.visit(put(a=1))
    headers = [await browser.visit(until_the_browser_ends)]
    clock.move(400)
    headers.append(await browser.visit())
    assert all(header is not None and "Max-Age" not in header and "Expires" not in header for header in headers)
    assert await lifetime_of(browser) == (None, False)
    clock.move(DAY)
    assert await browser.read() == {}


async def test_a_lifetime_can_be_taken_back(browser: Browser) -> None:
    """Without arguments it is the config's again."""
    await remembered(browser)
    header = await browser.visit(lambda session: session.set_lifetime())
    assert header is not None
    assert f"Max-Age={DAY};" in header
    assert await lifetime_of(browser) == (None, True)


async def test_a_handler_sees_the_lifetime_that_it_has_set(browser: Browser) -> None:
    """Before it is stored."""
    request = await browser.begin()
    remember(request.session)
    assert (request.session.max_age, request.session.persistent) == (MONTH, True)


@pytest.mark.parametrize("change", [put(b=2), lambda session: session.pop("b")], ids=["put", "pop"])
async def test_a_change_keeps_the_lifetime(
    browser: Browser, clock: ManualClock, change: Callable[[Session], Any]
) -> None:
    """Whether the write slides or not."""
    await remembered(browser)
    await browser.visit(put(b=1))
    for seconds in (0, 400):
        clock.move(seconds)
        await browser.visit(put(b=1))
        await browser.visit(change)
        assert await lifetime_of(browser) == (MONTH, True)


@pytest.mark.parametrize("follow", [False, True])
async def test_a_rotation_keeps_the_lifetime(browser: Browser, clock: ManualClock, *, follow: bool) -> None:
    """The session is the same, so the new cookie has its Max-Age."""
    await remembered(browser)
    header = await browser.visit(lambda session: rotate_session(follow=follow))
    assert header is not None
    assert PERSISTENT in header
    clock.move(MONTH - 1)
    assert await browser.read() == {"a": 1}


@pytest.mark.parametrize("follow", [False, True])
async def test_a_lifetime_and_a_rotation_in_one_request_both_hold(browser: Browser, *, follow: bool) -> None:
    """As where somebody proves who they are and asks to be remembered."""
    await browser.visit(put(a=1))
    before = browser.cookie

    def both(session: Session) -> None:
        rotate_session(follow=follow)
        remember(session)

    await browser.visit(both)
    assert browser.cookie != before
    assert (await browser.read(), await lifetime_of(browser)) == ({"a": 1}, (MONTH, True))


@pytest.mark.parametrize("end", [regenerate_session, lambda: None], ids=["regenerate", "clear"])
async def test_a_session_in_its_place_has_the_configs_lifetime(browser: Browser, end: Callable[[], Any]) -> None:
    """Who signs in next has not asked to be remembered."""
    await remembered(browser)

    def anew(session: Session) -> None:
        end()
        session.clear()
        session["b"] = 1

    header = await browser.visit(anew)
    assert header is not None
    assert f"Max-Age={DAY};" in header
    assert (await browser.read(), await lifetime_of(browser)) == ({"b": 1}, (None, True))


async def test_a_new_session_may_be_given_one_in_the_same_request(browser: Browser) -> None:
    """What is set after `regenerate_session()` is the new session's."""
    await browser.visit(put(a=1))

    def anew(session: Session) -> None:
        regenerate_session()["b"] = 1
        remember(session)

    await browser.visit(anew)
    assert await lifetime_of(browser) == (MONTH, True)


async def test_an_empty_session_with_a_lifetime_is_not_stored(browser: Browser) -> None:
    """There is nothing to keep."""
    assert await browser.visit(remember) is None


@pytest.mark.parametrize("max_age", [0, -1, 400 * DAY + 1, 1.5, True, "60"])
async def test_a_lifetime_that_cannot_work_is_refused(browser: Browser, max_age: Any) -> None:
    """By the rules of the config, and nothing of the session changes."""
    session = (await browser.begin()).session
    with pytest.raises(ConfigurationError, match=r"^max_age=.*must be .*from 1 to 34560000 seconds"):
        session.set_lifetime(max_age)
    assert (session.max_age, session.modified) == (None, False)


async def test_a_session_saved_again_keeps_the_lifetime_it_was_given(browser: Browser, clock: ManualClock) -> None:
    """The object stands as stored."""
    request = await browser.begin()
    request.session["a"] = 1
    remember(request.session)
    await request.finish()
    assert await request.finish() is None
    clock.move(400)
    header = await request.finish()
    assert header is not None
    assert PERSISTENT in header
    assert await lifetime_of(browser) == (MONTH, True)


async def test_an_emptied_session_that_is_filled_again_has_the_configs_lifetime(browser: Browser) -> None:
    """It ended when it was stored empty, and what the same object holds next is a new one."""
    await remembered(browser)
    request = await browser.begin()
    del request.session["a"]
    await request.finish()
    request.session["b"] = 1
    await request.finish()
    assert (await browser.read(), await lifetime_of(browser)) == ({"b": 1}, (None, True))


async def test_after_the_response_has_started_there_is_no_new_lifetime(browser: Browser) -> None:
    """Nothing would store it."""
    session = (await browser.begin()).session
    session._closed = True
    with pytest.raises(SessionClosed):
        remember(session)


async def test_a_lifetime_and_a_change_beside_it_both_hold(server_browser: Browser) -> None:
    """Whichever is stored first (promise 3)."""
    await server_browser.visit(put(a=1))
    for first_index in (0, 1):
        both = [await server_browser.begin(), await server_browser.begin()]
        both[0].session.set_lifetime(MONTH + first_index)
        both[1].session[f"b{first_index}"] = 1
        for index in (first_index, 1 - first_index):
            await both[index].finish()
        assert f"b{first_index}" in await server_browser.read()
        assert await lifetime_of(server_browser) == (MONTH + first_index, True)


async def test_a_touch_beside_it_does_not_bring_the_old_lifetime_back(
    server_browser: Browser, clock: ManualClock
) -> None:
    """Whichever is stored first; and the cookie of the touch never has the old Max-Age after the other's."""
    await server_browser.visit(put(a=1))
    for first_index in (0, 1):
        clock.move(DAY - 1)
        both = [await server_browser.begin(), await server_browser.begin()]
        both[0].session.set_lifetime(MONTH + first_index)
        headers = [await both[index].finish() for index in (first_index, 1 - first_index)]
        assert await lifetime_of(server_browser) == (MONTH + first_index, True)
        if first_index == 0:
            assert headers[1] is None


async def test_a_change_that_slides_beside_it_tells_the_lifetime_that_stands(
    server_browser: Browser, clock: ManualClock
) -> None:
    """Its response may be the last that the browser gets."""
    await server_browser.visit(put(a=1))
    clock.move(400)
    first, second = await server_browser.begin(), await server_browser.begin()
    remember(first.session)
    second.session["b"] = 1
    await first.finish()
    header = await second.finish()
    assert header is not None
    assert PERSISTENT in header


@pytest.mark.parametrize("follow", [False, True])
async def test_a_rotation_beside_it_takes_the_lifetime_along(
    server_browser: Browser, clock: ManualClock, *, follow: bool
) -> None:
    """The document moves as it stands, and the new cookie says so."""
    await server_browser.visit(put(a=1))
    first, second = await server_browser.begin(), await server_browser.begin()
    remember(first.session)
    second.run(lambda session: rotate_session(follow=follow))
    await first.finish()
    header = await second.finish()
    assert header is not None
    assert PERSISTENT in header
    clock.move(MONTH - 1)
    assert await server_browser.read() == {"a": 1}


async def test_a_lifetime_asked_for_beside_a_renewal_reaches_the_successor(
    server_browser: Browser, clock: ManualClock
) -> None:
    """Also with a renewal asked for by both, of which one is left out."""
    await server_browser.visit(put(a=1))
    both = [await server_browser.begin(), await server_browser.begin()]
    for request in both:
        request.run(lambda session: rotate_session(follow=True))
    remember(both[1].session)
    await both[0].finish()
    assert await both[1].finish() is None
    clock.move(MONTH - 1)
    assert await server_browser.read() == {"a": 1}


async def test_a_lifetime_asked_for_with_the_old_id_reaches_the_successor(
    server_browser: Browser, clock: ManualClock
) -> None:
    """The request was sent before the browser had the new cookie, and asks for a renewal as well."""
    await server_browser.visit(put(a=1))
    old = server_browser.twin()
    await server_browser.visit(lambda session: rotate_session(follow=True))
    request = await old.begin()
    request.run(lambda session: rotate_session(follow=True))
    remember(request.session)
    await server_browser.visit(put(b=2))
    await request.finish()
    clock.move(MONTH - 1)
    assert await server_browser.read() == {"a": 1, "b": 2}


async def test_an_ended_session_is_not_brought_back_by_a_lifetime(server_browser: Browser) -> None:
    """It stays gone (promise 4)."""
    await server_browser.visit(put(a=1))
    late = await server_browser.twin().begin()
    remember(late.session)
    ended = server_browser.cookie
    await server_browser.visit(lambda session: session.clear())
    assert await late.finish() is None
    server_browser.cookie = ended
    assert await server_browser.read() == {}


@pytest.mark.parametrize("follow", [False, True])
async def test_a_rotation_beside_it_keeps_the_session_in_the_users_index(
    server_browser: Browser, clock: ManualClock, *, follow: bool
) -> None:
    """For as long as the session lives now: a later login of the user drops what is over."""
    await server_browser.visit(put(user_id=7))
    first, second = await server_browser.begin(), await server_browser.begin()
    remember(first.session)
    second.run(lambda session: rotate_session(follow=follow))
    await first.finish()
    await second.finish()
    clock.move(MONTH / 2)
    await Browser(server_browser.store).visit(put(user_id=7))
    store: Any = server_browser.store
    assert len(await store.list_sessions(7)) == 2


async def test_a_list_of_sessions_knows_the_lifetime_of_each(server_browser: Browser, clock: ManualClock) -> None:
    """When it ends, and whether it has ended."""
    await server_browser.visit(put(user_id=7))
    await server_browser.visit(lambda session: session.set_lifetime(60))
    store: Any = server_browser.store
    assert [info.expires_at - clock.now for info in await store.list_sessions(7)] == [60]
    clock.move(60)
    assert await store.list_sessions(7) == []


async def test_what_is_cleared_before_it_was_stored_has_no_lifetime(server_browser: Browser) -> None:
    """What comes after a `clear()` is another session."""

    def handler(session: Session) -> None:
        remember(session)
        session.clear()
        session["a"] = 1

    await server_browser.visit(handler)
    assert (await server_browser.begin()).session.max_age is None


async def test_a_session_saved_under_a_new_id_leaves_the_old_ones_lifetime(server_browser: Browser) -> None:
    """As a script does that calls the store itself."""
    await server_browser.visit(put(a=1))
    await server_browser.visit(remember)
    session = (await server_browser.begin()).session
    response: Any = await server_browser.store.save(Response(), session, regenerate_old_id=server_browser.cookie)
    server_browser.receive(response.headers["set-cookie"])
    assert (await server_browser.begin()).session.max_age is None
