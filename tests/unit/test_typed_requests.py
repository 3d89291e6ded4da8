"""Typed sessions in the requests of an app: logins, streams, saves, and a gate."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from session_kit import Site, browser, config_with
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from typed_kit import Item, StructShop

from chirp.app import App
from chirp.middleware.auth import AuthConfig, AuthMiddleware, login
from chirp.middleware.sessions import MemorySessionStore, SessionMiddleware, get_session
from chirp.testing import Browser, Gate, put_session_sync, read_session_sync


@pytest.fixture(params=["asgi", "app"])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(request.param, model=StructShop)


def shop() -> StructShop:
    return get_session().typed(StructShop)


def test_a_handler_has_the_session_as_an_object(site: Site) -> None:
    """Through `get_session()` and `request.session` alike."""
    site.visit(lambda request: shop().cart.append(Item("tea")))
    seen: list[Any] = []
    site.visit(lambda request: seen.append(request.session.typed(StructShop).cart))
    assert seen == [[Item("tea")]]


def test_a_response_that_only_read_the_object_varies_by_cookie(site: Site) -> None:
    """It depends on the session."""
    response = site.visit(lambda request: shop().theme and None)
    assert response.headers["vary"] == "Cookie"
    assert "set-cookie" not in response.headers


def test_the_object_counts_as_access_however_it_is_come_by(site: Site) -> None:
    """By `request.session` too, which does not count by itself."""
    response = site.visit(lambda request: request.scope["session"].typed(StructShop).theme and None)
    assert response.headers["vary"] == "Cookie"


def test_a_request_that_only_reads_an_object_writes_nothing(site: Site) -> None:
    """One read of the store."""
    site.visit(lambda request: shop().cart.append(Item("tea")))
    site.store.used.clear()
    site.visit(lambda request: shop().cart and None)
    assert site.store.used == ["read"]


def streaming(step: Any) -> Any:
    def handler(request: Request) -> Response:
        mine = shop()

        def body() -> Iterator[str]:
            yield "start"
            step(mine)

        return StreamingResponse(body())

    return handler


def test_a_change_of_the_object_after_the_response_has_started_is_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """It is lost."""
    site.visit(lambda request: shop().cart.append(Item("tea")))
    site.visit(streaming(lambda mine: mine.cart.clear()))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "changed inside a value after the response had started" in caplog.text


def test_reading_the_object_while_the_body_is_sent_is_no_change(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Neither is what was stored with the response."""

    def handler(request: Request) -> Response:
        shop().theme = "dark"
        return streaming(lambda mine: mine.theme)(request)  # type: ignore[no-any-return]

    site.visit(handler)
    assert caplog.records == []


def test_save_stores_the_object(site: Site) -> None:
    """Now, and what is changed after that at the end of the request."""
    visitor = Browser(site.store)

    async def visit() -> None:
        request = await visitor.begin()
        request.session.typed(StructShop).theme = "dark"
        await request.session.save()
        visitor.receive(request.session._cookie.header)  # type: ignore[union-attr]
        assert await visitor.read() == {"theme": "dark"}
        request.session.typed(StructShop).theme = "blue"
        await request.finish()
        assert await visitor.read() == {"theme": "blue"}

    asyncio.run(visit())


def test_save_stores_what_was_changed_while_the_body_was_sent(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After `reopen()`, and nothing is lost, so nothing is logged."""
    site.visit(lambda request: shop().cart.append(Item("tea")))

    def handler(request: Request) -> Response:
        session = get_session()
        mine = session.typed(StructShop)

        async def body() -> AsyncIterator[str]:
            yield "start"
            session.reopen()
            mine.cart.append(Item("cup"))
            await session.save()

        return StreamingResponse(body())

    site.visit(handler)
    assert caplog.records == []
    assert [item["name"] for item in read_session_sync(site.client, site.store)["cart"]] == ["tea", "cup"]


class Counted(msgspec.Struct):
    theme: str = "light"

    def __post_init__(self) -> None:
        made.append(self)


made: list[Counted] = []


async def test_a_request_makes_one_object() -> None:
    """The one that it was validated with."""
    visitor = Browser(MemorySessionStore(config_with(model=Counted)))
    await visitor.visit(lambda session: session.update(theme="dark"))
    made.clear()
    await visitor.visit(lambda session: session.typed(Counted).theme)
    assert len(made) == 1


async def test_what_has_been_saved_is_no_change_any_more(site: Site) -> None:
    """A key that is set after that is not overwritten by the field."""
    visitor = Browser(site.store)
    await visitor.visit(lambda session: session.update(a=1))
    request = await visitor.begin()
    request.session.typed(StructShop).theme = "dark"
    assert not request.session.modified
    await request.session.save()
    assert request.session.modified
    request.session["theme"] = "blue"
    await request.finish()
    assert (await visitor.read())["theme"] == "blue"


def test_a_login_keeps_what_was_changed_in_the_object() -> None:
    """`keep` names keys, and the change is in none of them yet."""
    site = Site("app", model=StructShop)
    app = App()
    app.add_middleware(SessionMiddleware(config_with(model=StructShop, store=site.store)))
    app.add_middleware(AuthMiddleware(AuthConfig(lambda user_id: {"id": user_id})))

    @app.route("/", methods=("GET", "POST"))
    async def sign_in(request: Request) -> str:
        shop().cart.append(Item("tea"))
        login({"id": 1}, keep=("cart",))
        return shop().cart[0].name

    client = browser(app)
    put_session_sync(client, site.store, {"theme": "dark"})
    assert "tea" in client.post("/").text
    found = read_session_sync(client, site.store)
    assert (found["cart"], found.user_id, "theme" in found) == ([{"name": "tea", "count": 1}], 1, False)


async def test_a_gate_sees_what_was_changed_in_the_object() -> None:
    """It chooses by what is about to be stored."""
    gate = Gate(MemorySessionStore(config_with(model=StructShop)))
    stopped = gate.stop_next(lambda data: data.get("theme") == "dark")
    visitor = Browser(gate)
    request = await visitor.begin()
    request.session.typed(StructShop).theme = "dark"
    finishing = asyncio.create_task(request.finish())
    await stopped.reached()
    stopped.go_on()
    await finishing
    assert await visitor.read() == {"theme": "dark"}
