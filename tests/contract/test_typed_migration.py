"""Stored sessions that do not fit the model: anonymous and told, or brought up to date."""

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest
from session_kit import config_with, loaded, stored_session
from telemetry_kit import fields_of
from typed_kit import KINDS, StructShop
from visits import put_in as put

from chirp.middleware.sessions import MemorySessionStore
from chirp.middleware.sessions.store import BuiltInStore
from chirp.testing import Browser

MakeStore = Callable[..., BuiltInStore]

OLD = {"cart": ["tea"], "theme": "a value that nobody may read in a log"}
NEW = {**OLD, "cart": [{"name": "tea", "count": 1}]}


def as_of(browser: Browser, make: MakeStore, **settings: Any) -> Browser:
    """Return the same browser at another version of the app, on the same server."""
    store: Any = make(**settings)
    if hasattr(store, "_values"):
        store._values = browser.store._values
    return Browser(store, browser.cookie)


def named_items(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "cart": [{"name": name, "count": 1} for name in data["cart"]]}


def raising(data: dict[str, Any]) -> dict[str, Any]:
    data["cart"] = []
    raise KeyError("secret")


async def visited(make: MakeStore) -> Browser:
    """Return a browser whose session the version without a model has stored."""
    browser = Browser(make())
    await browser.visit(put(**OLD))
    return browser


@pytest.mark.parametrize("kind", KINDS)
async def test_what_does_not_fit_is_an_anonymous_session(
    make_store: MakeStore, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the field and no value, and the older version still reads its session."""
    older = await visited(make_store)
    newer = as_of(older, make_store, model=KINDS[kind][0])
    request = await newer.begin()
    assert (dict(request.session), request.session.is_new) == ({}, True)
    assert await request.finish() is None
    (record,) = caplog.records
    assert (record.levelno, fields_of(record)["event"]) == (logging.WARNING, "invalid")
    assert record.getMessage().endswith('does not fit the model; the request is anonymous: session["cart"][0]')
    assert await older.read() == OLD


async def test_the_warning_names_the_session(make_server_store: MakeStore, caplog: pytest.LogCaptureFixture) -> None:
    """By its key's hash and by its handle, as all events do."""
    older = await visited(make_server_store)
    handle = (await older.begin()).session.handle
    await as_of(older, make_server_store, model=StructShop).read()
    (record,) = caplog.records
    fields = fields_of(record)
    assert fields["handle"] == handle
    assert fields["session"] in record.getMessage()
    assert older.store.key_for(older.cookie)[-64:].startswith(fields["session"])


async def test_a_handle_that_somebody_put_there_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """It may hold anything."""
    store = MemorySessionStore(config_with(model=StructShop))
    cookie = await stored_session(store, {"theme": "dark"})
    key = store.key_for(cookie)
    document, until = store._values[key]
    other = json.loads(document) | {"handle": "a line\n", "data": {"theme": 1}}
    store._values[key] = (json.dumps(other).encode(), until)
    assert await loaded(store, cookie) == {}
    assert fields_of(caplog.records[0])["handle"] is None
    assert "a line" not in caplog.text


async def test_what_an_anonymous_visitor_stores_is_a_new_session(make_server_store: MakeStore) -> None:
    """The one that does not fit is left alone."""
    older = await visited(make_server_store)
    newer = as_of(older, make_server_store, model=StructShop)
    await newer.visit(put(theme="dark"))
    assert await newer.read() == {"theme": "dark"}
    assert await older.read() == OLD


async def test_migrate_brings_it_up_to_date(make_store: MakeStore) -> None:
    """For the request that finds it, and in the store at that request's end."""
    older = await visited(make_store)
    newer = as_of(older, make_store, model=StructShop, migrate=named_items)
    request = await newer.begin()
    assert request.session.typed(StructShop).cart[0].name == "tea"
    assert await older.read() == OLD
    await request.finish()
    assert await as_of(newer, make_store, model=StructShop).read() == NEW


async def test_migrate_may_change_what_it_is_given(make_store: MakeStore) -> None:
    """And return it; it is stored all the same."""

    def in_place(data: dict[str, Any]) -> dict[str, Any]:
        data["cart"] = []
        return data

    newer = as_of(await visited(make_store), make_store, model=StructShop, migrate=in_place)
    await newer.visit()
    assert (await as_of(newer, make_store).read())["cart"] == []


async def test_what_fits_is_not_migrated(make_store: MakeStore) -> None:
    """A request that reads it stores nothing."""
    newer = Browser(make_store(model=StructShop, migrate=raising))
    await newer.visit(put(**NEW))
    assert await newer.visit(lambda session: session.typed(StructShop).theme) is None
    assert await newer.read() == NEW


async def test_a_migration_is_merged_with_what_others_store(make_server_store: MakeStore) -> None:
    """An older version of the app is still running."""
    older = await visited(make_server_store)
    migrating = await as_of(older, make_server_store, model=StructShop, migrate=named_items).begin()
    await older.visit(put(other=1))
    await migrating.finish()
    assert await older.read() == {**NEW, "other": 1}


@pytest.mark.parametrize(
    ("migrate", "why"),
    [
        (raising, "and migrate failed with a KeyError"),
        (lambda data: data, 'and after migrate session["cart"][0]'),
        (lambda data: None, "and migrate failed with a SessionNotSerializable"),
        (lambda data: {"cart": (), "b": b"bytes"}, "and migrate failed with a SessionNotSerializable"),
    ],
    ids=["it raises", "it mends nothing", "no dict", "no JSON"],
)
async def test_a_migration_that_fails_makes_an_anonymous_session(
    make_store: MakeStore, migrate: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As if there was none; the log tells what came of it."""
    older = await visited(make_store)
    newer = as_of(older, make_store, model=StructShop, migrate=migrate)
    assert await newer.read() == {}
    (record,) = caplog.records
    assert record.getMessage().endswith(f'session["cart"][0], {why}')
    assert await older.read() == OLD


class Broken(msgspec.Struct):
    cart: list[str] = []

    def __post_init__(self) -> None:
        if self.cart:
            raise RuntimeError("a value")


class BrokenPydantic(pydantic.BaseModel):
    cart: list[str] = []

    @pydantic.field_validator("cart")
    @classmethod
    def fail(cls, cart: list[str]) -> list[str]:
        if cart:
            raise RuntimeError("a value")
        return cart


@dataclasses.dataclass
class Named:
    theme: int = 0


@pytest.mark.parametrize(
    ("model", "path"), [(Broken, "session"), (BrokenPydantic, "session"), (Named, 'session["theme"]')]
)
async def test_a_class_may_fail_in_any_way(
    make_store: MakeStore, model: type[Any], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own code never makes a 500 of what is stored (promise 12)."""
    newer = as_of(await visited(make_store), make_store, model=model)
    assert await newer.read() == {}
    assert caplog.records[0].getMessage().endswith(f": {path}")


async def test_an_older_app_s_session_can_be_ended(make_server_store: MakeStore) -> None:
    """By a login of the newer one: the presented id is dead, as one with a corrupt document is."""
    older = await visited(make_server_store)
    newer = as_of(older, make_server_store, model=StructShop)
    await newer.visit(put(user_id=7))
    assert await newer.read() == {"user_id": 7}
    assert await older.read() == {}
