"""A session whose values nobody can have changed is not looked at again; one whose values were given out is."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from session_kit import config_with
from starlette.responses import Response

from chirp.middleware.sessions import MemorySessionStore, Session, SessionConfig, session_id
from chirp.middleware.sessions import store as shared
from chirp.middleware.sessions.session import LiveSession
from chirp.testing import Browser


def matched(session: Any) -> Any:
    match session:
        case {"cart": cart}:
            return cart
    raise AssertionError("the session has a cart")


# Every way to a value inside a session.
WAYS: dict[str, Callable[[Any], Any]] = {
    "get item": lambda session: session["cart"],
    "get": lambda session: session.get("cart"),
    "setdefault": lambda session: session.setdefault("cart", []),
    "values": lambda session: next(iter(session.values())),
    "items": lambda session: dict(session.items())["cart"],
    "copy": lambda session: session.copy()["cart"],
    "copy.copy": lambda session: copy.copy(session)["cart"],
    "or": lambda session: (session | {})["cart"],
    "ror": lambda session: ({} | session)["cart"],
    "dict": lambda session: dict(session)["cart"],
    "unpack": lambda session: {**session}["cart"],
    "call": lambda session: dict(**session)["cart"],
    "match": matched,
}


@pytest.fixture
def store() -> MemorySessionStore:
    return MemorySessionStore(config_with())


@pytest.fixture
async def browser(store: MemorySessionStore) -> Browser:
    """One whose session holds a cart and a plain value."""
    browser = Browser(store)
    await browser.visit(lambda session: session.update(cart=[1], theme="dark"))
    return browser


@pytest.mark.parametrize("way", WAYS)
async def test_a_value_changed_after_it_was_given_out_is_stored(browser: Browser, way: str) -> None:
    """However the handler came by it."""
    await browser.visit(lambda session: WAYS[way](session).append(2))
    assert await browser.read() == {"cart": [1, 2], "theme": "dark"}


@pytest.mark.parametrize("way", WAYS)
async def test_a_value_changed_in_a_session_that_was_set_is_stored(browser: Browser, way: str) -> None:
    """A change that is noticed hides none that is not."""

    def handler(session: Session) -> None:
        session["theme"] = "light"
        WAYS[way](session).append(2)

    await browser.visit(handler)
    assert await browser.read() == {"cart": [1, 2], "theme": "light"}


async def test_a_value_that_was_set_and_then_changed_is_stored(browser: Browser) -> None:
    """Whoever set it still holds it, and may change it after the first save."""
    request = await browser.begin()
    mine: list[int] = []
    request.session["mine"] = mine
    await browser.store.commit(request.session, browser.store.clock())
    mine.append(1)
    await request.finish()
    assert (await browser.read())["mine"] == [1]


async def test_reading_plain_values_encodes_nothing(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the end of the request nor after the response: nothing can have changed."""

    def encode(_: object) -> bytes:
        raise AssertionError("a session that was only read was encoded")

    request = await browser.begin()
    monkeypatch.setattr(shared, "encode_data", encode)
    assert (request.session["theme"], request.session.get("none"), len(request.session)) == ("dark", None, 2)
    assert await request.finish() is None
    assert not browser.store.changed_since_commit(request.session)


async def test_an_equal_value_is_not_written(browser: Browser, store: MemorySessionStore) -> None:
    """Setting a key to what it holds changes nothing."""
    before = dict(store._values)
    request = await browser.begin()
    request.session["theme"] = "dark"
    assert request.session.modified
    await request.finish()
    assert store._values == before


@pytest.mark.parametrize("user_key", ["user_id", "account"])
async def test_a_new_user_is_seen_whatever_the_key(user_key: str) -> None:
    """A plain value under the user key means a new id, under another key it does not."""
    browser = Browser(MemorySessionStore(SessionConfig(secret_key="s" * 32, user_key=user_key)))
    await browser.visit(lambda session: session.update(theme="dark"))
    first = browser.cookie
    await browser.visit(lambda session: session.__setitem__("theme", "light"))
    assert browser.cookie == first
    await browser.visit(lambda session: session.__setitem__(user_key, 7))
    assert browser.cookie != first
    assert await browser.read() == {"theme": "light", user_key: 7}


async def test_a_loaded_session_has_every_attribute(browser: Browser) -> None:
    """It is made without the state of a first visit."""
    session = (await browser.begin()).session
    assert isinstance(session, LiveSession)
    assert [name for name in Session.__slots__ if not hasattr(session, name)] == []


async def test_a_new_id_asked_for_by_the_caller_is_given(store: MemorySessionStore, browser: Browser) -> None:
    """`regenerate_old_id` counts for a session that nobody has touched, too."""
    session = (await browser.begin()).session
    response = await store.save(Response(), session, regenerate_old_id=browser.cookie)
    assert response.headers["set-cookie"].startswith(store.config.cookie_name)
    assert session.id != browser.cookie
    assert session_id.is_well_formed(session.id or "")
