"""`await session.save()` and `session.reopen()`: storing a session at another time than when the response starts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from session_kit import COOKIE, Site, WatchedStore, call_asgi, config_with, cookies_set, http_scope, stored_session
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket

from chirp.errors import ConfigurationError, SessionClosed, StoreUnavailable
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    CookieSessionStore,
    Session,
    get_session,
    regenerate_session,
    rotate_session,
)
from chirp.testing import Browser, Gate

FRONTS = ("asgi", "app")


@pytest.fixture(params=FRONTS)
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param)


def put(**data: Any) -> Any:
    return lambda request: get_session().update(data)


def answer_with(site: Site, handler: Callable[[Request], Any]) -> Any:
    """Visit with a handler that is a coroutine function."""
    site.handler = handler
    return site.client.get("/")


def late(step: Callable[[Session], Any]) -> Callable[[Request], Response]:
    """Return a handler whose body takes a step after the response has started."""

    def handler(request: Request) -> Response:
        session = get_session()

        async def body() -> AsyncIterator[str]:
            yield "started "
            await step(session)
            yield "done"

        return StreamingResponse(body())

    return handler


def stored(site: Site) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []
    site.visit(lambda request: seen.append(dict(get_session())))
    return seen[0]


# Before the response has started


def test_what_is_saved_early_is_in_the_store_while_the_handler_runs(site: Site) -> None:
    """Somebody who is told the id can load the session."""
    found: list[dict[str, Any]] = []

    async def handler(request: Request) -> Response:
        session = get_session()
        session["a"] = 1
        await session.save()
        found.append(await Browser(site.store, session.id).read())
        return Response()

    answer_with(site, handler)
    assert found == [{"a": 1}]


def test_the_cookie_of_an_early_save_goes_out_with_the_response(site: Site) -> None:
    """One cookie, and the next request has the session."""

    async def handler(request: Request) -> Response:
        get_session()["a"] = 1
        await get_session().save()
        return Response()

    assert len(cookies_set(answer_with(site, handler))) == 1
    assert stored(site) == {"a": 1}


def test_a_change_after_an_early_save_is_stored_as_well(site: Site) -> None:
    """The end of the request saves what is left, under the id of the cookie."""

    async def handler(request: Request) -> Response:
        get_session()["a"] = 1
        await get_session().save()
        get_session()["b"] = 2
        return Response()

    assert len(cookies_set(answer_with(site, handler))) == 1
    assert stored(site) == {"a": 1, "b": 2}


def test_of_two_new_ids_in_one_request_the_later_one_goes_out(site: Site) -> None:
    """A rotation after an early save."""

    async def handler(request: Request) -> Response:
        get_session()["a"] = 1
        await get_session().save()
        rotate_session()
        return Response()

    assert len(cookies_set(answer_with(site, handler))) == 1
    assert stored(site) == {"a": 1}


def test_an_outage_after_an_early_save_sends_its_cookie_with_the_503(site: Site) -> None:
    """The old id is dead by then, so the browser would be logged out otherwise (promise 9)."""
    site.visit(put(a=1))

    async def handler(request: Request) -> Response:
        rotate_session()
        await get_session().save()
        site.store.broken = {"write"}
        get_session()["b"] = 2
        return Response()

    assert answer_with(site, handler).status_code == 503
    site.store.broken = set()
    assert stored(site) == {"a": 1}


def test_an_early_save_puts_no_cookie_on_a_public_response(site: Site) -> None:
    """Promise 18: it would end up in a shared cache. It would only move the cookie's end on; the next touch does."""
    site.visit(put(a=1))
    site.clock.now += 300

    async def handler(request: Request) -> Response:
        get_session()["b"] = 2
        await get_session().save()
        return Response(headers={"Cache-Control": "public, max-age=60"})

    response = answer_with(site, handler)
    assert (cookies_set(response), response.headers["vary"]) == ([], "Cookie")
    assert stored(site) == {"a": 1, "b": 2}


@pytest.mark.parametrize("front", FRONTS)
def test_a_login_beyond_the_limit_sends_the_cookie_of_an_early_save(front: str) -> None:
    """The session of before the login goes on under the new id, and the old one is dead."""
    site = Site(front, max_sessions_per_user=1, on_session_limit="refuse")
    site.visit(put(user_id=7))
    site.client.cookies.clear()
    site.visit(put(a=1))

    async def handler(request: Request) -> Response:
        rotate_session()
        await get_session().save()
        get_session()["user_id"] = 7
        return Response()

    assert answer_with(site, handler).status_code == 409
    assert stored(site) == {"a": 1}


@pytest.mark.parametrize("mode", ["unavailable", "anonymous"])
def test_a_save_during_an_outage_raises(mode: str) -> None:
    """Also where a request's own end only logs the loss: whoever saves wants to know."""
    site = Site("asgi", on_store_error=mode)
    site.visit(put(a=1))
    raised: list[type[Exception]] = []

    async def handler(request: Request) -> Response:
        get_session()["b"] = 2
        site.store.broken = {"write"}
        try:
            await get_session().save()
        except StoreUnavailable as error:
            raised.append(type(error))
        site.store.broken = set()
        return Response()

    answer_with(site, handler)
    assert raised == [StoreUnavailable]
    assert stored(site) == {"a": 1, "b": 2}


def test_a_save_of_a_session_that_was_never_loaded_for_an_outage_raises() -> None:
    """Nothing of it is kept."""
    site = Site("asgi", on_store_error="anonymous")
    site.visit(put(a=1))
    site.store.broken = {"read"}

    async def handler(request: Request) -> Response:
        get_session()["b"] = 2
        with pytest.raises(StoreUnavailable, match="not saved"):
            await get_session().save()
        return Response()

    assert answer_with(site, handler).status_code == 200


# After it


def test_a_reopened_session_is_saved_from_a_stream(site: Site) -> None:
    """What was changed between the two calls is stored."""
    site.visit(put(a=1))

    async def step(session: Session) -> None:
        session.reopen()
        session["a"] = 2
        await session.save()

    assert site.visit(late(step)).text == "started done"
    assert stored(site) == {"a": 2}


def test_a_reopened_session_is_saved_from_a_background_task(site: Site) -> None:
    """It runs after the response has been sent."""
    site.visit(put(a=1))

    def handler(request: Request) -> Response:
        async def task(session: Session) -> None:
            session.reopen()
            session["a"] = 3
            await session.save()

        return Response(background=BackgroundTask(task, get_session()))

    site.visit(handler)
    assert stored(site) == {"a": 3}


def test_a_nested_change_is_saved_without_reopening(site: Site) -> None:
    """Nothing stands in its way; without `save()` it is lost, and logged."""
    site.visit(put(cart=[]))

    async def step(session: Session) -> None:
        session["cart"].append(1)
        await session.save()

    site.visit(late(step))
    assert stored(site) == {"cart": [1]}


def test_saving_closes_the_session_again(site: Site) -> None:
    """Every round of changes is opened on purpose."""
    site.visit(put(a=1))

    async def step(session: Session) -> None:
        session.reopen()
        await session.save()
        with pytest.raises(SessionClosed, match="reopen"):
            session["a"] = 2

    assert site.visit(late(step)).text == "started done"


def test_a_late_save_merges_with_what_others_have_stored(site: Site) -> None:
    """The connection may have been open for hours."""
    site.visit(put(a=1))
    other = Browser(site.store, site.cookie)

    async def step(session: Session) -> None:
        await other.visit(lambda session: session.update(b=2))
        session.reopen()
        session["c"] = 3
        await session.save()

    site.visit(late(step))
    assert stored(site) == {"a": 1, "b": 2, "c": 3}


def test_a_late_save_does_not_revive_what_has_ended(site: Site) -> None:
    """Promise 4; and the handler is told."""
    site.visit(put(a=1))
    other = Browser(site.store, site.cookie)

    async def step(session: Session) -> None:
        await other.visit(lambda session: session.clear())
        session.reopen()
        session["c"] = 3
        with pytest.raises(SessionClosed, match="has ended"):
            await session.save()

    assert site.visit(late(step)).text == "started done"
    assert stored(site) == {}


def test_a_session_is_ended_by_clearing_it_late(site: Site) -> None:
    """A logout by way of a WebSocket: the cookie stays, and leads nowhere."""
    site.visit(put(a=1))

    async def step(session: Session) -> None:
        session.reopen()
        session.clear()
        await session.save()

    site.visit(late(step))
    assert site.cookie is not None
    assert stored(site) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda session: rotate_session(),
        lambda session: regenerate_session().update(a=1),
        lambda session: session.update(user_id=7),
        lambda session: session.set_lifetime(60),
    ],
    ids=["rotate", "regenerate", "user", "lifetime"],
)
def test_what_needs_a_cookie_is_refused_late(site: Site, change: Callable[[Session], Any]) -> None:
    """Nothing is stored then, and the browser's cookie leads to the session still."""
    site.visit(put(a=1))

    async def step(session: Session) -> None:
        session.reopen()
        change(session)
        with pytest.raises(SessionClosed, match="cookie"):
            await session.save()

    assert site.visit(late(step)).text == "started done"
    assert stored(site) == {"a": 1}


def test_a_new_session_is_refused_late(site: Site) -> None:
    """Nobody could be told its id."""

    async def step(session: Session) -> None:
        session.reopen()
        session["a"] = 1
        with pytest.raises(SessionClosed, match="cookie"):
            await session.save()

    site.visit(late(step))
    assert len(site.store._values) == 0


def test_a_cookie_store_saves_nothing_late() -> None:
    """The session is in the cookie; early it may be saved."""
    site = Site("asgi")
    config = replace(site.config, store=CookieSessionStore(site.config))
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        session["a"] = 1
        await session.save()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        session.reopen()
        session["a"] = 2
        with pytest.raises(SessionClosed, match="cookie"):
            await session.save()
        seen.append("refused")
        await send({"type": "http.response.body"})

    async def run() -> list[dict[str, Any]]:
        return await call_asgi(ASGISessionMiddleware(app, config), http_scope())

    start, _ = asyncio.run(run())
    assert [name for name, _ in start["headers"]].count(b"set-cookie") == 1
    assert seen == ["refused"]


def test_what_was_reopened_and_not_saved_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """It is lost."""
    site.visit(put(a=1))

    async def step(session: Session) -> None:
        session.reopen()
        session["a"] = 2

    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        site.visit(late(step))
    assert "the change is lost" in caplog.text
    assert stored(site) == {"a": 1}


async def test_a_websocket_saves_time_and_again() -> None:
    """Each round is stored when it is saved, and not when the connection ends."""
    store = WatchedStore(config_with())
    cookie = await stored_session(store, {"n": 0})
    other = Browser(store, cookie)
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        for _ in range(3):
            socket.session.reopen()
            socket.session["n"] += 1
            await socket.session.save()
            seen.append((await other.read())["n"])

    scope = http_scope(type="websocket", scheme="wss", headers=[(b"cookie", f"{COOKIE}={cookie}".encode())])
    config = replace(store.config, store=store)
    await call_asgi(ASGISessionMiddleware(app, config), scope, [{"type": "websocket.connect"}])
    assert seen == [1, 2, 3]


# Without a store


async def test_a_session_of_no_store_cannot_be_saved() -> None:
    """Nor one of a store that has `load` and `save` alone."""
    with pytest.raises(ConfigurationError, match="load and save alone"):
        await Session(a=1).save()


async def test_a_save_goes_through_the_gate() -> None:
    """As the end of a request does."""
    gate = Gate(WatchedStore(config_with()))
    session = await gate.open(None, None)
    session["a"] = 1
    stopped = gate.stop_next()
    stopped.go_on()
    await session.save()
    await stopped.reached(0)


# What another task does meanwhile


@pytest.mark.parametrize("ask", [Session.clear, Session._regenerate], ids=["clear", "regenerate"])
async def test_an_end_asked_for_while_a_save_is_under_way_is_one(ask: Callable[[Session], Any]) -> None:
    """It kills the document, whatever other requests have stored there; a session emptied by hand would be merged."""
    store = SlowStore(config_with())
    browser = Browser(store, await stored_session(store, {"a": 1}))
    session = await store.open(browser.cookie, True)
    session["b"] = 2
    async with store.writing(session.save()):
        ask(session)
    await browser.visit(lambda other: other.update(c=3))
    await store.commit(session, store.clock())
    assert await browser.read() == {}


@pytest.mark.parametrize("follow", [True, False])
async def test_a_rotation_asked_for_while_a_save_is_under_way_is_one(follow: bool) -> None:
    """The session gets a new id at the end of the request."""
    store = SlowStore(config_with())
    cookie = await stored_session(store, {"a": 1})
    session = await store.open(cookie, True)
    session["b"] = 2
    async with store.writing(session.save()):
        session._rotate(follow=follow)
    await store.commit(session, store.clock())
    assert session.id != cookie
    assert await Browser(store, session.id).read() == {"a": 1, "b": 2}


async def test_what_a_cleared_session_holds_next_has_the_usual_lifetime() -> None:
    """Also where it was cleared while a save was under way that took over what others had written."""
    store = SlowStore(config_with())
    visitor = Browser(store, await stored_session(store, {"a": 1}))
    await visitor.visit(lambda session: session.set_lifetime(60))
    store.clock.move(30)  # type: ignore[attr-defined]
    session = await store.open(visitor.cookie, True)
    session["b"] = 2
    await visitor.visit(lambda other: other.update(d=4))
    async with store.writing(session.save()):
        session.clear()
        session["c"] = 3
    await store.commit(session, store.clock())
    assert (await Browser(store, session.id).read(), session.max_age) == ({"c": 3}, None)


class SlowStore(WatchedStore):
    """A store whose writes are answered when a test lets them be."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._written = asyncio.Event()
        self._answering = asyncio.Event()
        self._answering.set()

    async def _write(self, write: Any) -> Any:
        result = await super()._write(write)
        self._written.set()
        await self._answering.wait()
        return result

    @asynccontextmanager
    async def writing(self, save: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """Run the block while a save has been carried out, and does not know it yet."""
        self._answering.clear()
        self._written.clear()
        task = asyncio.create_task(save)
        await self._written.wait()
        yield
        self._answering.set()
        await task
