"""What becomes of a session is logged, in fields for machines, once the store has acknowledged it."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from telemetry_kit import events, fields_of
from visits import put_in as put

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import Session, regenerate_session, rotate_session, session_id, telemetry
from chirp.middleware.sessions.server_side import ServerSideStore
from chirp.testing import Browser, ManualClock

Handler = Callable[[Session], Any]

UNKNOWN_ID = "u" * 43

# What a request does with a session that holds something, and the events, at INFO.
ACTIONS: Mapping[str, tuple[Handler, list[str]]] = {
    "a rotation": (lambda session: rotate_session(), ["rotated"]),
    "another user": (put(user_id=7), ["rotated"]),
    "a renewal": (lambda session: rotate_session(follow=True), ["renewed"]),
    "a login": (lambda session: regenerate_session().update(user_id=7), ["ended", "regenerated"]),
    "a logout": (Session.clear, ["ended"]),
    "a regeneration left empty": (lambda session: regenerate_session(), ["ended"]),
    "the last key removed": (lambda session: session.pop("a"), ["ended"]),
}


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chirp")


@pytest.fixture
async def visited(server_browser: Browser, caplog: pytest.LogCaptureFixture) -> Browser:
    """A browser with a session, of which the log knows nothing yet."""
    await server_browser.visit(put(a=1))
    caplog.clear()
    return server_browser


def name_of(browser: Browser) -> str:
    key: str = browser.store.key_for(browser.cookie)
    return session_id.name_of(key)


async def test_a_new_session_is_told_by_name_and_handle(
    server_browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """By the same ones that the next request finds, at DEBUG: crawlers may make many."""
    await server_browser.visit(put(a=1))
    (record,) = caplog.records
    handle = (await server_browser.begin()).session.handle
    assert fields_of(record) == {"event": "created", "session": name_of(server_browser), "handle": handle}
    assert record.levelno == logging.DEBUG


@pytest.mark.parametrize("action", ACTIONS)
async def test_what_a_request_does_with_a_session_is_told(
    visited: Browser, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    """Once, at its level."""
    handler, expected = ACTIONS[action]
    await visited.visit(handler)
    told = [(fields_of(record)["event"], record.levelno) for record in caplog.records]
    assert told == [(event, logging.INFO) for event in expected]


@pytest.mark.parametrize("action", ["a login", "a logout", "a regeneration left empty", "the last key removed"])
async def test_an_end_is_told_with_the_handle_that_ends(
    visited: Browser, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    """It is the one that the app may have logged when it began."""
    handle = (await visited.begin()).session.handle
    await visited.visit(ACTIONS[action][0])
    assert fields_of(caplog.records[0])["handle"] == handle


@pytest.mark.parametrize("cookie", [None, UNKNOWN_ID], ids=["no cookie", "an unknown id"])
async def test_where_nothing_ends_and_nothing_begins_nothing_is_told(
    server_browser: Browser, caplog: pytest.LogCaptureFixture, cookie: str | None
) -> None:
    """Whoever logs out without having been signed in leaves no trace of a session that there never was."""
    server_browser.cookie = cookie
    await server_browser.visit(lambda session: regenerate_session())
    assert [event for event in events(caplog.records) if event != "unknown"] == []


@pytest.mark.parametrize("action", ["a rotation", "a renewal", "a login"])
async def test_a_new_id_is_told_with_the_name_before(
    visited: Browser, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    """So a log can be read across the change."""
    before = name_of(visited)
    await visited.visit(ACTIONS[action][0])
    fields = fields_of(caplog.records[-1])
    assert (fields["previous"], fields["session"]) == (before, name_of(visited))


async def test_a_handle_stays_the_same_through_a_rotation(visited: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """It is what a log can be searched for."""
    handle = (await visited.begin()).session.handle
    for action in ("a rotation", "a renewal"):
        await visited.visit(ACTIONS[action][0])
    assert [(fields_of(record)["event"], fields_of(record)["handle"]) for record in caplog.records] == [
        ("rotated", handle),
        ("renewed", handle),
    ]


async def test_an_end_is_told_by_the_name_that_the_id_came_with(
    visited: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """So it can be found among what was told of it before."""
    await visited.visit(lambda session: rotate_session())
    await visited.visit(Session.clear)
    rotated, ended = map(fields_of, caplog.records)
    assert ended == {"event": "ended", "session": rotated["session"], "handle": rotated["handle"]}


async def test_a_session_revoked_from_outside_is_told(visited: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """By the name that its own events had."""
    await visited.store.revoke_id(visited.cookie)
    (record,) = caplog.records
    assert fields_of(record) == {"event": "revoked", "session": name_of(visited), "handle": None}
    assert record.levelno == logging.INFO


@pytest.mark.parametrize("user_id", [7, None])
async def test_a_session_revoked_by_its_handle_is_told(
    visited: Browser, caplog: pytest.LogCaptureFixture, user_id: int | None
) -> None:
    """With it, whether the session has a user or not."""
    await visited.visit(put(user_id=user_id))
    caplog.clear()
    handle = (await visited.begin()).session.handle
    assert await visited.store.revoke(handle) is True
    (record,) = caplog.records
    assert fields_of(record) == {"event": "revoked", "session": name_of(visited), "handle": handle}


async def test_each_session_of_a_user_that_is_revoked_is_told(
    server_store: ServerSideStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and nothing of those that have ended before."""
    browsers = [Browser(server_store) for _ in range(3)]
    for browser in browsers:
        await browser.visit(put(user_id=7))
    names = {name_of(browser) for browser in browsers[:2]}
    await browsers[2].visit(Session.clear)
    caplog.clear()
    await server_store.revoke_user(7)  # type: ignore[attr-defined]
    await server_store.revoke_user(7)  # type: ignore[attr-defined]
    assert events(caplog.records) == ["revoked"] * 2
    assert {fields_of(record)["session"] for record in caplog.records} == names


async def test_an_unknown_id_is_told(server_browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO: it is somebody who guesses, or more often a session that has expired."""
    server_browser.cookie = UNKNOWN_ID
    await server_browser.read()
    (record,) = caplog.records
    assert fields_of(record) == {"event": "unknown", "session": name_of(server_browser), "handle": None}
    assert record.levelno == logging.INFO


async def test_a_touch_is_told(visited: Browser, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG: it is routine."""
    clock.now += 3600
    await visited.visit()
    assert [(fields_of(record)["event"], record.levelno) for record in caplog.records] == [("touched", logging.DEBUG)]


async def test_a_merged_change_is_told(visited: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """The change that came second met one that it had not loaded."""
    requests = [await visited.begin() for _ in range(2)]
    for number, request in enumerate(requests):
        request.session[f"key{number}"] = number
        await request.finish()
    assert events(caplog.records) == ["merged"]


async def test_a_rotation_that_merges_is_told_as_both(visited: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """What the other request stored comes along to the new id."""
    rotating, other = [await visited.begin() for _ in range(2)]
    other.session["b"] = 2
    await other.finish()
    rotating.run(lambda session: rotate_session())
    await rotating.finish()
    assert events(caplog.records) == ["merged", "rotated"]


async def test_a_session_that_is_only_read_or_changed_tells_nothing(
    visited: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """An app's every request is not worth a record."""
    await visited.read()
    await visited.visit(put(b=2))
    assert caplog.records == []


async def test_nothing_is_told_of_what_the_store_has_not_acknowledged(
    visited: Browser, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logout that failed is no logout."""

    async def fail(steps: object) -> Any:
        raise StoreUnavailable("it is out")

    monkeypatch.setattr(visited.store, "_run", fail)
    for action in ("a rotation", "a login", "a logout"):
        with pytest.raises(StoreUnavailable):
            await visited.visit(ACTIONS[action][0])
    with pytest.raises(StoreUnavailable):
        await visited.store.revoke_id(visited.cookie)
    assert events(caplog.records) == []


async def test_an_outage_tells_which_session_it_hit(visited: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """On load and on save; whoever logs the error has the name."""
    store: ServerSideStore = visited.store
    request = await visited.begin()

    async def fail(asked: object) -> Any:
        raise StoreUnavailable("it is out")

    for primitive in ("_read", "_write"):
        monkeypatch.setattr(store, primitive, fail)
    request.session["b"] = 2
    for act in (visited.read, request.finish):
        with pytest.raises(StoreUnavailable) as raised:
            await act()
        assert raised.value.session == name_of(visited)


async def test_no_record_holds_an_id_or_what_is_in_a_session(
    server_browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """In its text and in its fields, through everything that is told."""
    ids = [UNKNOWN_ID]
    server_browser.cookie = UNKNOWN_ID
    for handler in (put(a="s3cret"), *(handler for handler, _ in ACTIONS.values())):
        await server_browser.visit(put(a="s3cret"))
        ids.append(str(server_browser.cookie))
        await server_browser.visit(handler)
        ids.append(str(server_browser.cookie))
        await Browser(server_browser.store, ids[-2]).read()
    assert {"created", "rotated", "renewed", "regenerated", "ended", "unknown"} <= set(events(caplog.records))
    told = "\n".join(str(vars(record)) + record.getMessage() for record in caplog.records)
    assert [secret for secret in {*ids, "s3cret"} - {"None"} if secret in told] == []


async def test_for_records_that_nobody_wants_nothing_is_done(
    server_browser: Browser, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a name is cut from a key."""
    caplog.set_level(logging.WARNING, "chirp")
    monkeypatch.setattr(telemetry, "name_of", None)
    await server_browser.visit(put(a=1))
    await server_browser.visit(Session.clear)
    assert caplog.records == []
