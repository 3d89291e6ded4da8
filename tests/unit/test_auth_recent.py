"""Step-up: what needs a login that is recent, and what makes one of a login that is not."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from auth_site import CONFIG, COOKIE, Site, User
from fastapi import FastAPI
from session_kit import config_with
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from chirp.middleware.auth import (
    LOGIN_AT_KEY,
    AuthConfig,
    AuthMiddleware,
    LoginRequired,
    RecentLoginRequired,
    confirm_login,
    get_user,
    login,
    require_recent_login,
)
from chirp.middleware.sessions import ASGISessionMiddleware, CookieSessionStore, MemorySessionStore, get_session

STORES = {"memory": MemorySessionStore, "cookie": CookieSessionStore}


def pay() -> str:
    require_recent_login(300)
    return "paid"


async def pay_async() -> str:
    return pay()


def site_with(make_store: Any) -> Site:
    one = Site(CONFIG, make_store, session_version=lambda user: user.version)
    one.on("/pay", pay)
    one.on("/pay-async", pay_async)
    one.on_do("/confirm", confirm_login)
    return one


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    one = site_with(STORES[request.param])
    with one.client:
        yield one


@pytest.mark.parametrize("path", ["/pay", "/pay-async"])
def test_a_recent_login_passes(site: Site, path: str) -> None:
    """From sync and from async handlers."""
    site.get("/login/1")
    site.clock.move(299)
    assert site.get(path) == "paid"


@pytest.mark.parametrize("path", ["/pay", "/pay-async"])
def test_a_login_of_too_long_ago_is_a_403(site: Site, path: str) -> None:
    """Exactly at the limit counts; the text says what to do."""
    site.get("/login/1")
    site.clock.move(300)
    response = site.client.get(path)
    assert (response.status_code, response.text) == (403, "Confirm that it is you: enter your password again.")


@pytest.mark.parametrize("path", ["/pay", "/confirm"])
def test_where_nobody_is_signed_in_it_is_a_401(site: Site, path: str) -> None:
    """With the challenge that RFC 9110 asks for, and of a scheme for which no browser opens a dialog."""
    response = site.client.get(path)
    assert (response.status_code, response.text) == (401, "Sign in first.")
    assert response.headers["www-authenticate"] == "Cookie"


def test_what_is_raised_says_how_recent_it_has_to_be(site: Site) -> None:
    """An app shows its own page, and may treat both cases alike."""

    def handler() -> list[Any]:
        with pytest.raises(LoginRequired) as raised:
            require_recent_login(60)
        error = raised.value
        assert isinstance(error, RecentLoginRequired)
        return [error.seconds, error.status_code]

    site.on("/", handler)
    site.get("/login/1")
    site.clock.move(60)
    assert site.get("/") == [60, 403]


@pytest.mark.parametrize("at", [None, "1800000000", True, [], {}, 0, -1e300, 1_800_000_006, 1e300, 10**400])
def test_a_time_that_no_login_has_stored_is_not_recent(at: Any) -> None:
    """One in the future neither: a clock that was wrong for a moment would else keep a login recent for years."""
    site = site_with(MemorySessionStore)

    def handler() -> list[int]:
        dict.__setitem__(get_session(), LOGIN_AT_KEY, at)  # as another program may have stored it
        with pytest.raises(RecentLoginRequired) as raised:
            require_recent_login(300)
        return [raised.value.status_code]

    site.on("/", handler)
    site.get("/login/1")
    assert site.get("/") == [403]


def test_a_login_is_recent_for_nobody_else(site: Site) -> None:
    """An app that gives the session to another user has not asked that one for anything."""
    site.on_do("/become", lambda: get_session().update(user_id=2))
    site.get("/login/1")
    site.get("/become")
    assert (site.get("/who"), site.client.get("/pay").status_code) == ([2], 403)


def test_a_session_without_a_time_is_not_recent(site: Site) -> None:
    """It began before there were any, or the app has set the user by itself."""
    site.on_do("/by-hand", lambda: get_session().update(user_id=1, session_version=0))
    site.get("/by-hand")
    assert (site.get("/who"), site.client.get("/pay").status_code) == ([1], 403)


def test_the_host_where_somebody_signed_in_may_be_a_little_ahead(site: Site) -> None:
    """Who has just signed in is not asked again because two clocks differ."""
    site.get("/login/1")
    site.clock.move(-5)
    assert site.get("/pay") == "paid"
    site.clock.move(-1)
    assert site.client.get("/pay").status_code == 403


def test_to_confirm_makes_the_login_recent(site: Site) -> None:
    """After the app has asked for the password again."""
    site.get("/login/1")
    site.clock.move(3600)
    site.get("/confirm")
    assert site.get("/pay") == "paid"
    site.clock.move(300)
    assert site.client.get("/pay").status_code == 403


def test_to_confirm_keeps_the_data(site: Site) -> None:
    """It is the same session, and its user goes on with what they were doing."""
    site.get("/login/1")
    site.get("/put/draft")
    site.get("/confirm")
    assert (site.get("/who"), site.get("/data")["draft"]) == ([1], "kept")


def test_to_confirm_gives_a_new_id() -> None:
    """The session is worth more now, and whoever knows the old id gets nothing of it."""
    site = site_with(MemorySessionStore)
    site.get("/login/1")
    before = site.client.cookies[COOKIE]
    site.get("/confirm")
    assert site.client.cookies[COOKIE] != before
    assert site.visit_with(before, "/data") == {}


def test_a_change_of_password_ends_all_sessions_but_the_one_it_was_made_in(site: Site) -> None:
    """The version is raised, and this session confirmed."""

    def change_password() -> list[Any]:
        site.users[1].version += 1
        confirm_login(site.users[1])
        return [get_user().id]

    site.on("/password", change_password)
    site.get("/login/1")
    other = site.client.cookies[COOKIE]
    site.client.cookies.clear()
    site.get("/login/1")
    assert (site.get("/password"), site.get("/who")) == ([1], [1])
    assert site.visit_with(other, "/who") == [None]


def test_the_rest_of_the_request_sees_the_user_as_confirmed(site: Site) -> None:
    """The object that was found at its beginning may be out of date."""
    renamed = User(1)

    def handler() -> list[bool]:
        confirm_login(renamed)
        return [get_user() is renamed]

    site.on("/", handler)
    site.get("/login/1")
    assert site.get("/") == [True]


def test_somebody_else_cannot_be_confirmed(site: Site) -> None:
    """They have to sign in, in a session of their own, and this one stays as it was."""

    def handler() -> list[Any]:
        with pytest.raises(ValueError, match="another user than the one who is signed in"):
            confirm_login(site.users[2])
        return [get_user().id]

    site.on("/", handler)
    site.get("/login/1")
    before = site.client.cookies[COOKIE]
    assert (site.get("/"), site.client.cookies[COOKIE]) == ([1], before)


@pytest.mark.parametrize("ask", [lambda: require_recent_login(1), confirm_login], ids=["require", "confirm"])
def test_outside_a_request_nobody_can_be_asked(ask: Callable[[], Any]) -> None:
    """A script is not an anonymous visitor."""
    with pytest.raises(LookupError, match="outside a request"):
        ask()


def framework_app(name: str) -> Any:
    """Return an app of a framework in which both middlewares run, with a handler that needs a recent login."""
    config = config_with()
    auth = AuthMiddleware(AuthConfig(load_user=User))

    def sign_in(request: Request) -> Response:
        login(User(1))
        return Response()

    def handler(request: Request) -> Response:
        require_recent_login(300 if "recent" in request.query_params else 0)
        return PlainTextResponse("paid")

    app: Any
    if name == "fastapi":
        app = FastAPI()
        app.get("/login")(sign_in)
        app.get("/pay")(handler)
    else:
        app = Starlette(routes=[Route("/login", sign_in), Route("/pay", handler)])
    app.add_middleware(BaseHTTPMiddleware, dispatch=auth)
    app.add_middleware(ASGISessionMiddleware, config=config)
    return app


@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_in_other_frameworks_a_refusal_is_a_response_too(name: str) -> None:
    """What is raised is an HTTPException of Starlette's, which both know."""
    client = TestClient(framework_app(name), base_url="https://testserver")
    assert client.get("/pay").status_code == 401
    client.get("/login")
    assert (client.get("/pay?recent=1").text, client.get("/pay").status_code) == ("paid", 403)


def test_another_framework_can_answer_both_with_its_own_page() -> None:
    """One exception handler for the two of them."""
    app = framework_app("starlette")
    app.add_exception_handler(LoginRequired, lambda request, error: PlainTextResponse("please", 418))
    client = TestClient(app, base_url="https://testserver")
    refused = [client.get("/pay").status_code]
    client.get("/login")
    assert [*refused, client.get("/pay").status_code] == [418, 418]
