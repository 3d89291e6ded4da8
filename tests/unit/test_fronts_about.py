"""Lifetimes and recorded clients under both fronts: what the browser is told, and what is looked at."""

from typing import Any

import pytest
from session_kit import NEW_ID, Site, cookies_set
from starlette.requests import Request
from starlette.responses import Response

from chirp.middleware.sessions import get_session

MONTH = 30 * 86400
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


@pytest.fixture(params=["asgi", "app"])
def front(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def site(front: str) -> Site:
    return Site(front)


def put(request: Request) -> None:
    get_session()["a"] = 1


def remember(request: Request) -> None:
    get_session().set_lifetime(MONTH)


def test_a_lifetime_sets_the_cookie_anew(site: Site) -> None:
    """At the end of the request, and no cache keeps what the browser has to take over."""
    site.visit(put)
    response = site.visit(remember)
    (header,) = cookies_set(response)
    assert f"Max-Age={MONTH};" in header
    assert response.headers["cache-control"] == NEW_ID


def test_a_lifetime_counts_on_a_public_response_as_well(site: Site) -> None:
    """It is no mere touch, which can wait; so the response is public no more."""
    site.visit(put)

    def handler(request: Request) -> Response:
        remember(request)
        return Response(headers={"Cache-Control": "public"})

    response = site.visit(handler)
    assert (len(cookies_set(response)), response.headers["cache-control"]) == (1, NEW_ID)


def test_the_browser_forgets_a_cookie_without_max_age_when_it_ends(site: Site) -> None:
    """It is told neither Max-Age nor Expires."""

    def handler(request: Request) -> None:
        put(request)
        get_session().set_lifetime(persistent=False)

    (header,) = cookies_set(site.visit(handler))
    assert "max-age" not in header.lower()
    assert "expires" not in header.lower()


def stored(site: Site) -> tuple[Any, Any]:
    """Return the client that is stored with the browser's session."""
    session: Any = None

    def handler(request: Request) -> None:
        nonlocal session
        session = get_session()

    site.visit(handler)
    return session.user_agent, session.address


def test_the_client_of_a_request_is_recorded_where_that_is_wanted(front: str) -> None:
    """As the server tells it."""
    site = Site(front, record_client=True)
    site.visit(put, headers={"User-Agent": AGENT})
    assert stored(site) == (AGENT, "testclient")


def test_by_default_nothing_of_the_client_is_looked_at(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs nothing, and there is nothing to protect."""

    def never(*args: Any) -> None:
        raise AssertionError("the client was looked at")

    for module in ("asgi", "store"):
        monkeypatch.setattr(f"chirp.middleware.sessions.{module}.client_of", never)
    site.visit(put)
    assert stored(site) == (None, None)


def test_very_many_lifetimes_take_no_memory(site: Site) -> None:
    """Promise 13: an app may compute one for each user."""

    def handler(request: Request) -> None:
        put(request)
        get_session().set_lifetime(int(request.query_params["seconds"]))

    for seconds in range(100, 140):
        site.visit(handler, f"/?seconds={seconds}")
    assert site.store._lifetime_for.cache_info().currsize <= 16
