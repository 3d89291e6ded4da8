"""An outage that a test switches on is one for the app and for all that asks the store."""

import logging
from typing import Any

import pytest
from session_kit import Site, config_with
from telemetry_kit import fields_of

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions import CookieSessionStore, MemorySessionStore, get_session
from chirp.middleware.sessions.session_limit import LimitedStore
from chirp.testing import Browser, Gate, OutageSwitch, put_session_sync


def put(**data: Any) -> Any:
    return lambda request: get_session().update(data)


@pytest.fixture(params=["asgi", "app"])
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_requests_are_refused_while_it_is_on(front: str, caplog: pytest.LogCaptureFixture) -> None:
    """And nobody is logged out by it."""
    site = Site(front)
    site.visit(put(a=1))
    with OutageSwitch(site.store):
        response = site.visit(lambda request: None)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert [fields_of(record)["event"] for record in caplog.records] == ["unavailable"]
    seen: list[Any] = []
    site.visit(lambda request: seen.append(dict(get_session())))
    assert seen == [{"a": 1}]


def test_requests_run_without_a_session_where_the_config_says_so(front: str, caplog: pytest.LogCaptureFixture) -> None:
    """What they store is lost, and logged."""
    site = Site(front, on_store_error="anonymous")
    site.visit(put(a=1))
    with OutageSwitch(site.store):
        response = site.visit(put(b=2))
        assert (response.status_code, "set-cookie" in response.headers) == (200, False)
        assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.WARNING]
        assert "what the request stored is lost" in caplog.text
    assert site.visit(lambda request: None).status_code == 200


def test_a_first_visit_that_stores_nothing_goes_through(front: str) -> None:
    """It asks the store for nothing, in an outage as ever."""
    site = Site(front)
    with OutageSwitch(site.store):
        assert site.visit(lambda request: None).status_code == 200


def test_it_can_begin_between_load_and_save(front: str) -> None:
    """A handler switches it on; its response is replaced."""
    site = Site(front)
    switch = OutageSwitch(site.store)

    def handler(request: Any) -> None:
        get_session()["a"] = 1
        switch.on()

    response = site.visit(handler, method="POST")
    assert (response.status_code, "retry-after" in response.headers) == (503, False)
    switch.off()
    assert site.visit(put(a=2)).status_code == 200


async def test_the_sessions_of_a_user_cannot_be_asked_for() -> None:
    """Nor ended, nor scanned, nor how long they live."""
    store = MemorySessionStore(config_with())
    browser = Browser(store)
    await browser.visit(lambda session: session.update(user_id=1))
    (info,) = await store.list_sessions(1)
    request = await browser.begin()
    request.session["a"] = 1
    with OutageSwitch(store) as switch:
        assert "on" in repr(switch)
        for ask in (
            lambda: store.list_sessions(1),
            lambda: store.revoke_user(1),
            lambda: store.find_session(info.handle),
            lambda: store.read_data(info),
            lambda: store.time_left([info]),
            lambda: anext(store.scan_sessions()),
            request.finish,
        ):
            with pytest.raises(StoreUnavailable, match="the store is out: its OutageSwitch is on"):
                await ask()
    assert "off" in repr(switch)
    assert [each.handle for each in await store.list_sessions(1)] == [info.handle]


@pytest.mark.parametrize("primitive", sorted(LimitedStore.__abstractmethods__ - {"_scan", "_listen"}))
async def test_whatever_a_store_asks_its_server_fails(primitive: str) -> None:
    """Each of the primitives that a concrete store gives."""
    store = MemorySessionStore(config_with())
    with OutageSwitch(store), pytest.raises(StoreUnavailable):
        await getattr(store, primitive)(())


async def test_a_scan_fails_at_its_first_step() -> None:
    """Also where there is nothing to be found."""
    store = MemorySessionStore(config_with())
    with OutageSwitch(store), pytest.raises(StoreUnavailable):
        await anext(store._scan())


@pytest.mark.parametrize("on_store_error", ["unavailable", "anonymous"])
def test_nobody_is_put_into_a_session_while_it_is_on(on_store_error: str) -> None:
    """The test is told so, whatever a request would be."""
    site = Site("asgi", on_store_error=on_store_error)
    with OutageSwitch(site.store), pytest.raises(StoreUnavailable):
        put_session_sync(site.client, site.store, {"a": 1})


async def test_nobody_can_begin_to_listen() -> None:
    """What tells connections that their session has ended cannot be heard."""
    store = MemorySessionStore(config_with())
    with OutageSwitch(store), pytest.raises(StoreUnavailable):
        async with store._listen():
            pass


def test_a_store_without_a_server_has_no_outage() -> None:
    """And one behind a wrapper is to be given itself."""
    for store in (CookieSessionStore(config_with()), Gate(MemorySessionStore(config_with()))):
        with pytest.raises(ConfigurationError, match=f"store is a {type(store).__name__}"):
            OutageSwitch(store)  # type: ignore[arg-type]
