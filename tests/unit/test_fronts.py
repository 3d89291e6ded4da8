"""What both fronts do alike: cookies, caches, closed sessions, paths without sessions."""

from dataclasses import replace
from typing import Any

import pytest
from session_kit import COOKIE, NEW_ID, Site, app_under, browser, config_with, cookies_set
from starlette.requests import Request
from starlette.responses import Response

from chirp.errors import ConfigurationError
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    MemorySessionStore,
    SessionMiddleware,
    get_session,
    regenerate_session,
    rotate_session,
)

MAKE: dict[str, Any] = {"asgi": lambda config: ASGISessionMiddleware(Response(), config), "app": SessionMiddleware}
FRONTS = tuple(MAKE)


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(front: str) -> Site:
    return Site(front, exclude_paths=("/static",))


def put(**data: Any) -> Any:
    return lambda request: get_session().update(data)


def public(request: Request) -> Response:
    return Response(headers={"Cache-Control": "public, max-age=60"})


def reading(request: Request) -> None:
    get_session()


def test_what_one_request_stores_the_next_one_reads(site: Site) -> None:
    """The point of it all."""
    seen: list[dict[str, Any]] = []
    site.visit(put(a=1))
    site.visit(lambda request: seen.append(dict(request.session)))
    assert seen == [{"a": 1}]


def test_the_request_and_get_session_give_the_same_object(site: Site) -> None:
    """Under both fronts, so that code of either style works."""
    same: list[bool] = []
    site.visit(lambda request: same.append(request.session is get_session()))
    assert same == [True]


def test_a_new_session_sets_one_cookie_and_forbids_caching(site: Site) -> None:
    """Promise 18: for a new id; another visitor must not get it from a cache."""
    response = site.visit(put(a=1))
    assert (len(cookies_set(response)), response.headers["cache-control"]) == (1, NEW_ID)
    assert response.headers["vary"] == "Cookie"


@pytest.mark.parametrize("ask", [regenerate_session, rotate_session])
def test_a_new_id_forbids_caching_whatever_the_handler_said(site: Site, ask: Any) -> None:
    """Promise 18: also where the handler called the response public."""
    site.visit(put(a=1))

    def handler(request: Request) -> Response:
        ask()["b"] = 2
        return public(request)

    response = site.visit(handler)
    assert (len(cookies_set(response)), response.headers.get_list("cache-control")) == (1, [NEW_ID])


def test_a_deletion_forbids_caching(site: Site) -> None:
    """Promise 18: a cached one would log others out."""
    site.visit(put(a=1))
    response = site.visit(lambda request: get_session().clear())
    assert ("Max-Age=0" in cookies_set(response)[0], response.headers["cache-control"]) == (True, NEW_ID)


def test_a_touch_leaves_caching_to_the_handler(site: Site) -> None:
    """Promise 18: a private page may still be kept by its browser."""
    site.visit(put(a=1))
    site.clock.now += 300
    response = site.visit(lambda request: Response(headers={"Cache-Control": "private, max-age=60"}))
    assert (len(cookies_set(response)), response.headers["cache-control"]) == (1, "private, max-age=60")


@pytest.mark.parametrize("value", ["public", "PUBLIC, max-age=5", "max-age=5, s-maxage=60"])
def test_a_touch_is_skipped_on_a_public_response(site: Site, value: str) -> None:
    """Promise 18: the cookie would end up in a shared cache. Neither is anything written."""
    site.visit(put(a=1))
    site.clock.now += 300
    site.store.used.clear()
    response = site.visit(lambda request: Response(headers={"Cache-Control": value}))
    assert (cookies_set(response), response.headers["cache-control"], site.store.used) == ([], value, ["read"])


def test_a_change_on_a_public_response_is_stored_without_a_cookie(site: Site) -> None:
    """Promise 18: the cookie is still good, so it need not travel."""
    site.visit(put(a=1))
    site.clock.now += 300

    def handler(request: Request) -> Response:
        get_session()["a"] = 2
        return public(request)

    seen: list[Any] = []
    assert cookies_set(site.visit(handler)) == []
    site.visit(lambda request: seen.append(get_session()["a"]))
    assert seen == [2]


def test_a_touch_slides_the_cookie(site: Site) -> None:
    """Promise 18: the response that sets it varies with it, though the handler did not ask for the session."""
    site.visit(put(a=1))
    site.clock.now += 300
    response = site.visit(lambda request: None)
    assert (len(cookies_set(response)), response.headers["vary"]) == (1, "Cookie")


def test_before_a_touch_is_due_no_cookie_is_set(site: Site) -> None:
    """Promise 2: no write and no `Set-Cookie`."""
    site.visit(put(a=1))
    site.clock.now += 299
    site.store.used.clear()
    assert (cookies_set(site.visit(reading)), site.store.used) == ([], ["read"])


def test_a_response_whose_handler_obtained_the_session_varies(site: Site) -> None:
    """Promise 18: an empty one, too; and what the handler said of other headers stays."""

    def handler(request: Request) -> Response:
        get_session()
        return Response(headers={"Vary": "Accept"})

    assert site.visit(handler).headers["vary"] == "Accept, Cookie"


def test_a_response_whose_handler_did_not_does_not_vary(site: Site) -> None:
    """With a session as without."""
    headers = [site.visit(lambda request: None).headers]
    site.visit(put(a=1))
    headers.append(site.visit(lambda request: None).headers)
    assert [("vary" in one) for one in headers] == [False, False]


@pytest.mark.parametrize("cookie", ["", "short", "a" * 42, "a" * 44, "a" * 42 + "*"])
def test_a_malformed_cookie_asks_the_store_nothing(site: Site, cookie: str) -> None:
    """Promise 1."""
    response = site.visit(reading, headers={"Cookie": f"{COOKIE}={cookie}"})
    assert (response.status_code, cookies_set(response), site.store.used) == (200, [], [])


def test_an_unknown_cookie_is_not_deleted(site: Site) -> None:
    """A late deletion would wipe the cookie of a login running beside it."""
    assert cookies_set(site.visit(reading, headers={"Cookie": f"{COOKIE}={'a' * 43}"})) == []


def test_a_handler_that_raises_leaves_the_session_as_it_was(front: str) -> None:
    """Nothing is stored on an unhandled exception."""
    site = Site(front)
    site.client = browser(site.app, raise_server_exceptions=False)
    site.visit(put(a=1))

    def handler(request: Request) -> None:
        get_session()["a"] = 2
        raise KeyError("oops")

    seen: list[Any] = []
    assert site.visit(handler).status_code == 500
    site.visit(lambda request: seen.append(dict(get_session())))
    assert seen == [{"a": 1}]


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_the_cookie_is_secure_as_the_request_came(site: Site, scheme: str, *, secure: bool) -> None:
    """With secure="auto"; both fronts tell the store."""
    response = site.visit(put(a=1), f"{scheme}://testserver/")
    assert ("; Secure" in cookies_set(response)[0]) is secure


@pytest.mark.parametrize("path", ["/static", "/static/app.css", "/static/"])
def test_an_excluded_path_never_loads_a_session(site: Site, path: str) -> None:
    """Neither is anything asked for or set."""
    site.visit(put(a=1))
    site.store.used.clear()
    errors: list[str] = []

    def handler(request: Request) -> None:
        try:
            get_session()
        except LookupError as error:
            errors.append(str(error))

    response = site.visit(handler, path)
    assert (response.status_code, site.store.used, len(errors)) == (200, [], 1)
    assert "exclude_paths" in errors[0]


@pytest.mark.parametrize("path", ["/statics", "/other/static", "/Static"])
def test_a_path_that_only_resembles_an_excluded_one_has_a_session(site: Site, path: str) -> None:
    """Whole segments count."""
    assert cookies_set(site.visit(put(a=1), path))


@pytest.mark.parametrize("field", ["max_age", "cookie_name", "fallback_secret_keys"])
def test_a_store_made_with_other_settings_is_refused(front: str, field: str) -> None:
    """The error names the field and the remedy, and no secret."""
    other: dict[str, Any] = {
        "max_age": 5,
        "cookie_name": "x",
        "fallback_secret_keys": ("a secret that is long enough now",),
    }
    store = MemorySessionStore(config_with(**{field: other[field]}))
    with pytest.raises(ConfigurationError, match=rf"^{field} differs .*dataclasses\.replace") as raised:
        MAKE[front](config_with(store=store))
    assert "secret that is long" not in str(raised.value)


def test_the_secret_of_the_store_may_differ(front: str) -> None:
    """A server-side store has no use for it."""
    store = MemorySessionStore(replace(config_with(), secret_key="another secret that is long enough"))
    assert MAKE[front](config_with(store=store)).config.store is store


def test_without_a_store_the_session_is_in_the_cookie(front: str) -> None:
    """Signed, and readable by the next request."""
    app = app_under(front, lambda request: Response(repr(get_session().setdefault("a", 1))), config_with())
    client = browser(app)
    responses = [client.get("/"), client.get("/")]
    assert [len(cookies_set(response)) for response in responses] == [1, 0]


def test_a_login_beyond_the_limit_is_a_409(front: str) -> None:
    """The handler's response is replaced, no cookie is set, and the session that the browser had goes on."""
    site = Site(front, max_sessions_per_user=1, on_session_limit="refuse")
    site.visit(put(user_id=5))
    site.client.cookies.clear()
    site.visit(put(a=1))
    response = site.visit(lambda request: regenerate_session().update(user_id=5))
    assert (response.status_code, response.headers["cache-control"], cookies_set(response)) == (409, "no-store", [])
    assert "Sign out on one of them first" in response.text
    seen: list[dict[str, Any]] = []
    site.visit(lambda request: seen.append(dict(request.session)))
    assert seen == [{"a": 1}]


def test_a_limit_needs_a_store_that_knows_a_users_sessions(front: str) -> None:
    """A cookie store could not keep to it."""
    with pytest.raises(ConfigurationError, match="max_sessions_per_user=3: only a server-side store"):
        MAKE[front](config_with(max_sessions_per_user=3))
