"""`SessionMiddleware` where it differs from the ASGI front: immutable responses, plain requests, worker threads."""

import logging
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import pytest
from session_kit import COOKIE, NEW_ID, Clock, WatchedStore, browser, config_with, cookies_set, stored_session
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from chirp.app import App
from chirp.errors import SessionClosed, SessionNotSerializable, SessionTooLarge
from chirp.middleware.sessions import (
    CookieSessionStore,
    SessionMiddleware,
    SessionStore,
    get_session,
    regenerate_session,
    rotate_session,
)

CONFIG = config_with()


@dataclass(frozen=True)
class Immutable:
    """A response in the style of chirp's own: adding a header gives another one."""

    lines: tuple[tuple[str, str], ...] = ()

    def with_header(self, name: str, value: str) -> "Immutable":
        return replace(self, lines=(*self.lines, (name, value)))

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key.lower() == name]


@dataclass
class PlainRequest:
    """A request that is not Starlette's."""

    path: str = "/"
    scheme: str = "https"
    method: str = "GET"
    cookies: dict[str, str] = field(default_factory=dict)


def site(handler: Any, store: SessionStore, **settings: Any) -> Any:
    app = App()
    app.add_middleware(SessionMiddleware(config_with(store=store, **settings)))
    app.route("/", methods=("GET", "POST"))(handler)
    return browser(app)


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore(CONFIG)


async def answered(store: WatchedStore, action: Any, request: PlainRequest | None = None, **given: Any) -> Immutable:
    """Pass a plain request through the middleware to an immutable response."""

    async def handler(_: Any) -> Any:
        action()
        return Immutable(**given)

    middleware: Any = SessionMiddleware(replace(store.config, store=store))
    response: Immutable = await middleware(request or PlainRequest(), handler)
    return response


async def test_an_immutable_response_gets_what_a_mutable_one_gets(store: WatchedStore) -> None:
    """Promise 18: by `with_header`, and what was there stays."""
    response = await answered(store, lambda: get_session().update(a=1), lines=(("X-A", "1"),))
    assert (response.values("x-a"), len(response.values("set-cookie"))) == (["1"], 1)
    assert (response.values("cache-control"), response.values("vary")) == ([NEW_ID], ["Cookie"])


async def test_an_immutable_response_that_read_the_session_varies_only(store: WatchedStore) -> None:
    """Promise 18: nothing is stored and no cookie set."""
    assert (await answered(store, get_session)).lines == (("Vary", "Cookie"),)


async def test_an_immutable_response_that_did_not_is_left_alone(store: WatchedStore) -> None:
    """It is the very same object."""
    assert (await answered(store, lambda: None)).lines == ()


async def test_a_touch_leaves_the_caching_of_an_immutable_response(store: WatchedStore) -> None:
    """Promise 18: as with a mutable one."""
    cookie = await stored_session(store, {"a": 1})
    assert isinstance(store.clock, Clock)
    store.clock.now += 300
    response = await answered(store, lambda: None, PlainRequest(cookies={COOKIE: cookie}))
    assert [name for name, _ in response.lines] == ["Set-Cookie", "Vary"]


async def test_after_the_request_there_is_no_session(store: WatchedStore) -> None:
    """The context is as it was before."""
    await answered(store, get_session)
    with pytest.raises(LookupError):
        get_session()


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
async def test_the_scheme_of_a_plain_request_decides_secure(store: WatchedStore, scheme: str, *, secure: bool) -> None:
    """With secure="auto"."""
    response = await answered(store, lambda: get_session().update(a=1), PlainRequest(scheme=scheme))
    assert ("; Secure" in response.values("set-cookie")[0]) is secure


async def test_an_excluded_path_of_a_plain_request_has_no_session() -> None:
    """Its path is an attribute."""
    store = WatchedStore(config_with(exclude_paths=("/static",)))
    with pytest.raises(LookupError):
        await answered(store, get_session, PlainRequest(path="/static/a"))


@pytest.mark.parametrize("action", [regenerate_session, rotate_session])
def test_a_new_id_asked_for_in_a_sync_handler_is_given(store: WatchedStore, action: Any) -> None:
    """It runs in a worker thread, whose context is a copy."""

    def handler() -> str:
        get_session().setdefault("a", 1)
        if get_session().id:
            action()
        return ""

    client = site(handler, store)
    responses = [client.get("/") for _ in range(2)]
    assert [len(cookies_set(response)) for response in responses] == [1, 1]


def test_a_background_task_reads_the_session_and_cannot_change_it(store: WatchedStore) -> None:
    """Promise 19: it runs after the response."""
    told: list[Any] = []

    def after() -> None:
        told.append(get_session()["a"])
        try:
            get_session()["b"] = 1
        except SessionClosed as error:
            told.append(type(error))

    def handler() -> Response:
        get_session()["a"] = 1
        return Response(background=BackgroundTask(after))

    site(handler, store).get("/")
    assert told == [1, SessionClosed]


def test_a_nested_change_in_a_background_task_is_logged(store: WatchedStore, caplog: pytest.LogCaptureFixture) -> None:
    """Promise 19: it is lost."""

    def handler() -> Response:
        get_session()["cart"] = []
        return Response(background=BackgroundTask(lambda: get_session()["cart"].append(1)))

    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        site(handler, store).get("/")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    ("value", "error"), [("x" * 70_000, SessionTooLarge), (object(), SessionNotSerializable)], ids=["large", "object"]
)
def test_a_middleware_outside_can_answer_what_cannot_be_stored(
    store: WatchedStore, value: Any, error: type[Exception]
) -> None:
    """Promise 11: it sees the typed error, and nothing was written."""

    async def answering(request: Request, following: Any) -> Any:
        try:
            return await following(request)
        except error as raised:
            return PlainTextResponse(type(raised).__name__, 413)

    def handler() -> str:
        get_session()["a"] = value
        return "stored"

    app = App()
    app.add_middleware(answering)
    app.add_middleware(SessionMiddleware(replace(CONFIG, store=store)))
    app.route("/")(handler)
    response = browser(app).get("/")
    assert (response.status_code, response.text, store._values) == (413, error.__name__, {})


def test_a_cookie_that_is_too_large_is_a_typed_error() -> None:
    """Promise 16: under the cookie store, whose whole session has to fit."""

    def handler() -> str:
        get_session()["a"] = "".join(sha256(bytes([part])).hexdigest() for part in range(200))
        return ""

    with pytest.raises(SessionTooLarge, match="browsers drop"):
        site(handler, CookieSessionStore(CONFIG)).get("/")
