"""What requests get while the store is out, under both fronts and in both modes (promise 9)."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from session_kit import COOKIE, Site, WatchedStore, call_asgi, config_with, cookies_set, http_scope
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from telemetry_kit import fields_of

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    get_session,
    regenerate_session,
    rotate_session,
    session_id,
)

FRONTS = ("asgi", "app")
PRESENTED = {"Cookie": f"{COOKIE}={'a' * 43}"}
RETRY = "5"


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def refusing(front: str) -> Site:
    return Site(front, on_store_error="unavailable")


@pytest.fixture
def anonymous(front: str) -> Site:
    return Site(front, on_store_error="anonymous")


def put(**data: Any) -> Any:
    return lambda request: get_session().update(data)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_load_that_fails_is_a_503_before_the_handler_runs(refusing: Site, method: str) -> None:
    """Promise 9: any method may be repeated, since nothing has happened."""
    ran: list[Request] = []
    refusing.store.broken = {"read"}
    response = refusing.visit(ran.append, method=method, headers=PRESENTED)
    assert (response.status_code, response.headers["retry-after"], ran) == (503, RETRY, [])


def test_a_refusal_leaves_the_cookie_and_is_not_cached(refusing: Site) -> None:
    """Promise 9: nobody is logged out."""
    refusing.store.broken = {"read"}
    response = refusing.visit(put(a=1), headers=PRESENTED)
    assert (cookies_set(response), response.headers["cache-control"]) == ([], "no-store")


def test_when_the_store_is_back_so_is_the_session(refusing: Site) -> None:
    """Promise 9: the same cookie leads to it."""
    refusing.visit(put(a=1))
    refusing.store.broken = {"read"}
    refusing.visit(put(a=2))
    refusing.store.broken = set()
    seen: list[Any] = []
    refusing.visit(lambda request: seen.append(dict(get_session())))
    assert seen == [{"a": 1}]


def test_a_request_without_cookie_is_served(refusing: Site) -> None:
    """Promise 1: it needs nothing of the store."""
    refusing.store.broken = {"read", "write", "run"}
    assert refusing.visit(lambda request: get_session()).status_code == 200


@pytest.mark.parametrize(("method", "retry"), [("GET", RETRY), ("POST", None)])
def test_a_save_that_fails_replaces_the_response(refusing: Site, method: str, retry: str | None) -> None:
    """Only a safe method may simply be repeated: the handler ran."""
    refusing.store.broken = {"run"}
    response = refusing.visit(put(a=1), method=method)
    assert (response.status_code, response.headers.get("retry-after"), cookies_set(response)) == (503, retry, [])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_safe_methods_may_be_repeated_too(method: str) -> None:
    """RFC 9110 names them."""
    site = Site("asgi")
    site.app.router.routes[0].methods.add(method)
    site.store.broken = {"run"}
    assert site.visit(put(a=1), method=method).headers["retry-after"] == RETRY


def test_the_handlers_body_is_not_sent_with_the_503(refusing: Site) -> None:
    """It may say that something was done."""
    refusing.store.broken = {"run"}
    assert refusing.visit(put(a=1)).text == "Sessions are unavailable at the moment.\n"


def test_in_anonymous_mode_the_handler_runs_with_an_empty_session(anonymous: Site) -> None:
    """Promise 9: which says that it is not available."""
    anonymous.visit(put(a=1))
    anonymous.store.broken = {"read"}
    seen: list[Any] = []

    def handler(request: Request) -> None:
        seen.append((dict(get_session()), get_session().available))

    response = anonymous.visit(handler)
    assert (response.status_code, cookies_set(response), seen) == (200, [], [({}, False)])


def test_in_anonymous_mode_what_the_handler_stores_is_lost_and_logged(
    anonymous: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Promise 9: it persists nothing and leaves the cookie."""
    anonymous.visit(put(a=1))
    cookie = anonymous.cookie
    anonymous.store.broken = {"read"}
    with caplog.at_level(logging.WARNING):
        response = anonymous.visit(put(a=2))
    anonymous.store.broken = set()
    seen: list[Any] = []
    anonymous.visit(lambda request: seen.append(dict(get_session())))
    assert (response.status_code, cookies_set(response), anonymous.cookie, seen) == (200, [], cookie, [{"a": 1}])
    assert any("is lost" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("broken", ["run", "write"])
def test_in_anonymous_mode_a_failed_save_goes_out_without_a_cookie(
    anonymous: Site, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the session was new or changed; the loss is logged."""
    if broken == "write":
        anonymous.visit(put(a=1))
    anonymous.store.broken = {broken}
    with caplog.at_level(logging.WARNING):
        response = anonymous.visit(put(a=2))
    assert (response.status_code, cookies_set(response)) == (200, [])
    assert any("is lost" in record.getMessage() for record in caplog.records)


ENDS = {
    "clear": lambda request: get_session().clear(),
    "regenerate": lambda request: regenerate_session(),
    "regenerate with data": lambda request: regenerate_session().update(a=1),
    "rotate": lambda request: rotate_session(),
    "sign in": lambda request: get_session().update(user_id=1),
}


@pytest.mark.parametrize("mode", ["unavailable", "anonymous"])
@pytest.mark.parametrize("name", ENDS)
def test_an_end_or_a_new_id_is_never_pretended(front: str, mode: str, name: str) -> None:
    """Promise 9: a 503 in both modes where the store fails at the end of the request."""
    site = Site(front, on_store_error=mode)
    site.visit(put(a=1))
    site.store.broken = {"run"}
    response = site.visit(ENDS[name], method="POST")
    assert (response.status_code, cookies_set(response)) == (503, [])


@pytest.mark.parametrize("name", ENDS)
def test_an_end_asked_for_after_a_failed_load_is_a_503(anonymous: Site, name: str) -> None:
    """In anonymous mode the store may be back by then; what to end is not known any more."""
    anonymous.visit(put(a=1))
    anonymous.store.broken = {"read"}
    response = anonymous.visit(ENDS[name], method="POST")
    assert (response.status_code, cookies_set(response)) == (503, [])


def test_a_touch_that_fails_is_a_503(refusing: Site) -> None:
    """The store is out; `Retry-After` brings a safe request back."""
    refusing.visit(put(a=1))
    refusing.clock.now += 300
    refusing.store.broken = {"write"}
    response = refusing.visit(lambda request: None)
    assert (response.status_code, response.headers["retry-after"]) == (503, RETRY)


def test_in_anonymous_mode_a_touch_that_fails_is_no_matter(anonymous: Site) -> None:
    """The page was made from the session as it is."""
    anonymous.visit(put(a=1))
    anonymous.clock.now += 300
    anonymous.store.broken = {"write"}
    response = anonymous.visit(lambda request: None)
    assert (response.status_code, cookies_set(response)) == (200, [])


def test_the_log_of_an_outage_holds_no_id(refusing: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads logs must not be able to take a session over."""
    refusing.visit(put(a=1))
    refusing.store.broken = {"read"}
    with caplog.at_level(logging.DEBUG, "chirp"):
        refusing.visit(put(a=2))
    assert (len(caplog.records), str(refusing.cookie) in caplog.text) == (1, False)


@pytest.mark.parametrize("mode", ["unavailable", "anonymous"])
@pytest.mark.parametrize("broken", ["read", "write"])
def test_an_outage_is_an_event_of_its_session(
    front: str, mode: str, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it was met on load or on save; a loss after a failed load is another record."""
    site = Site(front, on_store_error=mode)
    site.visit(put(a=1))
    name = session_id.name_of(site.store.key_for(str(site.cookie)))
    site.store.broken = {broken}
    with caplog.at_level(logging.WARNING):
        site.visit(put(a=2))
    assert len(caplog.records) == (2 if (mode, broken) == ("anonymous", "read") else 1)
    assert all(fields_of(record) == {"event": "unavailable", "session": name} for record in caplog.records)


def test_an_outage_that_hits_a_new_session_has_no_name(refusing: Site, caplog: pytest.LogCaptureFixture) -> None:
    """It never had a key."""
    refusing.store.broken = {"run"}
    refusing.visit(put(a=1))
    assert [fields_of(record) for record in caplog.records] == [{"event": "unavailable", "session": None}]


def test_in_anonymous_mode_emptying_a_session_is_not_pretended(anonymous: Site) -> None:
    """Removing the last key, the user say, ends a session (promise 9)."""
    anonymous.visit(put(user_id=7))
    anonymous.store.broken = {"write"}
    assert anonymous.visit(lambda request: get_session().pop("user_id")).status_code == 503


@pytest.mark.parametrize(("method", "retry"), [("GET", RETRY), ("POST", None)])
@pytest.mark.parametrize("mode", ["unavailable", "anonymous"])
def test_a_handler_that_finds_the_store_out_is_a_503(front: str, mode: str, method: str, retry: str | None) -> None:
    """Such as a page of devices: nobody could be asked for a user's sessions, in neither mode. Nothing is stored."""
    site = Site(front, on_store_error=mode)
    site.visit(put(user_id=5))

    async def handler(request: Request) -> Response:
        get_session()["a"] = 1
        site.store.broken = {"run"}
        return JSONResponse(len(await site.store.list_sessions(5)))

    site.handler = handler
    response = site.client.request(method, "/")
    assert (response.status_code, response.headers.get("retry-after"), cookies_set(response)) == (503, retry, [])
    site.store.broken = set()
    seen: list[Any] = []
    site.visit(lambda request: seen.append(dict(get_session())))
    assert seen == [{"user_id": 5}]


async def test_a_store_that_is_out_when_the_response_has_started_is_an_error() -> None:
    """It cannot be replaced any more; the server ends the connection."""
    store = WatchedStore(config_with())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise StoreUnavailable("out")

    with pytest.raises(StoreUnavailable):
        await call_asgi(ASGISessionMiddleware(app, replace(store.config, store=store)), http_scope())
