"""Sessions as objects of the app's own class, on every store."""

from collections.abc import Callable
from typing import Any

import pytest
from typed_kit import KINDS, NOON, Item, StructShop
from visits import put_in as put

from chirp.errors import SessionNotSerializable
from chirp.middleware.sessions import Session, regenerate_session
from chirp.middleware.sessions.store import BuiltInStore
from chirp.testing import Browser

MakeStore = Callable[..., BuiltInStore]


@pytest.fixture
def shopper(make_store: MakeStore) -> Browser:
    return Browser(make_store(model=StructShop))


def setting(**fields: Any) -> Callable[[Session], None]:
    """Return a handler that sets fields of the object."""

    def handler(session: Session) -> None:
        shop = session.typed(StructShop)
        for name, value in fields.items():
            setattr(shop, name, value)

    return handler


async def shop_of(browser: Browser) -> StructShop:
    return (await browser.begin()).session.typed(StructShop)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_changed_in_the_object_comes_back(make_store: MakeStore, kind: str) -> None:
    """Nested values, and values that JSON does not have, in each kind of class."""
    model, item = KINDS[kind]
    browser = Browser(make_store(model=model))

    def shop(session: Session) -> None:
        mine = session.typed(model)
        mine.cart.append(item("tea") if kind != "pydantic" else item(name="tea"))
        mine.seen = NOON

    await browser.visit(shop)
    await browser.visit(lambda session: setattr(session.typed(model).cart[0], "count", 2))
    found = (await browser.begin()).session.typed(model)
    assert type(found) is model
    assert (found.cart[0].name, found.cart[0].count, found.seen) == ("tea", 2, NOON)
    assert await browser.read() == {"cart": [{"name": "tea", "count": 2}], "seen": "2030-01-01T12:00:00Z"}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_that_was_only_read_stores_nothing(make_store: MakeStore, kind: str) -> None:
    """Its defaults are no data."""
    model, _ = KINDS[kind]
    browser = Browser(make_store(model=model))
    assert await browser.visit(lambda session: session.typed(model).theme) is None
    await browser.visit(put(theme="dark"))
    assert await browser.visit(lambda session: session.typed(model).theme) is None
    assert await browser.read() == {"theme": "dark"}


async def test_it_is_the_same_object_each_time(shopper: Browser) -> None:
    """In one request."""
    session = (await shopper.begin()).session
    assert session.typed(StructShop) is session.typed(StructShop)


async def test_keys_of_others_stay(shopper: Browser) -> None:
    """Those of `login()`, of OAuth, of another version of the app."""
    await shopper.visit(put(login_at=1))
    await shopper.visit(setting(theme="dark"))
    assert await shopper.read() == {"login_at": 1, "theme": "dark"}


async def test_a_field_that_is_set_back_to_its_default_is_stored(shopper: Browser) -> None:
    """What was chosen stays, should the default change."""
    await shopper.visit(setting(theme="dark"))
    await shopper.visit(setting(theme="light"))
    assert await shopper.read() == {"theme": "light"}


async def test_of_a_field_and_its_key_the_field_wins(shopper: Browser) -> None:
    """Where the request changes both."""

    def both(session: Session) -> None:
        session.typed(StructShop).theme = "dark"
        session["theme"] = "blue"

    await shopper.visit(both)
    assert await shopper.read() == {"theme": "dark"}


async def test_a_key_is_not_overwritten_by_a_field_that_did_not_change(shopper: Browser) -> None:
    """Code that knows only the dict goes on working."""

    def key_alone(session: Session) -> None:
        session.typed(StructShop).seen = NOON
        session["theme"] = "blue"

    await shopper.visit(key_alone)
    assert (await shopper.read())["theme"] == "blue"


async def test_the_object_is_made_of_what_the_request_has_set_before(shopper: Browser) -> None:
    """Not of what was loaded."""
    await shopper.visit(put(theme="dark", cart=[]))
    session = (await shopper.begin()).session
    session["theme"] = "blue"
    assert session.typed(StructShop).theme == "blue"
    session = (await shopper.begin()).session
    session["cart"].append({"name": "tea"})
    assert session.typed(StructShop).cart == [Item("tea")]


@pytest.mark.parametrize("end", [Session.clear, lambda session: regenerate_session()])
async def test_a_session_that_ends_leaves_its_object_behind(shopper: Browser, end: Any) -> None:
    """The next one is fresh, and nothing of the former one gets into it."""
    await shopper.visit(setting(theme="dark"))
    fresh = []

    def handler(session: Session) -> None:
        before = session.typed(StructShop)
        end(session)
        before.theme = "leaked"
        fresh.append(session.typed(StructShop).theme)
        session["a"] = 1
        before.cart.append(Item("leaked"))

    await shopper.visit(handler)
    assert fresh == ["light"]
    assert await shopper.read() == {"a": 1}


async def test_parallel_changes_of_different_fields_are_both_kept(make_server_store: MakeStore) -> None:
    """They are merged as keys are."""
    browser = Browser(make_server_store(model=StructShop))
    await browser.visit(put(a=1))
    first, second = await browser.begin(), await browser.begin()
    first.run(setting(theme="dark"))
    second.run(lambda session: session.typed(StructShop).cart.append(Item("tea")))
    await first.finish()
    await second.finish()
    assert await browser.read() == {"a": 1, "theme": "dark", "cart": [{"name": "tea", "count": 1}]}


async def test_another_user_in_the_object_gets_a_new_id(make_server_store: MakeStore) -> None:
    """As with the key: a planted cookie leads nowhere after that (promise 6)."""
    browser = Browser(make_server_store(model=StructShop))
    await browser.visit(setting(theme="dark"))
    thief = browser.twin()
    await browser.visit(setting(user_id=7))
    assert await browser.read() == {"theme": "dark", "user_id": 7}
    assert await thief.read() == {}


@pytest.mark.parametrize(
    ("handler", "path"),
    [
        (setting(theme=5), 'session["theme"]'),
        (put(cart=["tea"]), 'session["cart"][0]'),
        (setting(theme=object()), 'session["theme"]'),
        (setting(theme="\ud800"), 'session["theme"]'),
        (setting(theme=float("nan")), 'session["theme"]'),
        (put(other=(1, 2)), 'session["other"]'),
    ],
    ids=["another type", "a key", "an object", "a lone surrogate", "not a number", "no JSON in another key"],
)
async def test_what_could_not_be_read_again_is_refused(shopper: Browser, handler: Any, path: str) -> None:
    """By name of the field; the stored session is as it was."""
    await shopper.visit(setting(theme="dark"))
    with pytest.raises(SessionNotSerializable) as raised:
        await shopper.visit(handler)
    assert raised.value.path == path
    assert str(raised.value).startswith(f"{path}: ")
    assert await shopper.read() == {"theme": "dark"}


async def test_data_that_the_request_has_spoilt_makes_no_object(shopper: Browser) -> None:
    """And says which field does not fit."""
    session = (await shopper.begin()).session
    session["cart"] = [{"count": 1}]
    with pytest.raises(SessionNotSerializable) as raised:
        session.typed(StructShop)
    assert raised.value.path == 'session["cart"][0]'
