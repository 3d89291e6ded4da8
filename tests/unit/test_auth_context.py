"""Which sessions count as a user's, where a user can be asked for, and what is refused."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import pytest
from auth_site import COOKIE, Site, User
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.testclient import TestClient

from chirp.app import App
from chirp.errors import ConfigurationError
from chirp.middleware.auth import AuthConfig, AuthMiddleware, get_user, login, logout
from chirp.middleware.sessions import get_session


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose sessions end when the user's version changes."""
    one = Site(session_version=lambda user: user.version)
    with one.client:
        yield one


def test_a_session_of_the_current_version_is_signed_in(site: Site) -> None:
    """The version stored at login is compared at each request."""
    site.get("/login/1")
    assert site.get("/who") == [1]


def test_a_changed_version_signs_out_the_sessions_before(site: Site) -> None:
    """A new password ends the sessions that someone else may hold."""
    site.get("/login/1")
    site.users[1].version += 1
    assert site.get("/who") == [None]


def test_a_login_after_the_change_counts(site: Site) -> None:
    """The session begun under the new version is the user's."""
    site.get("/login/1")
    site.users[1].version += 1
    site.get("/login/1")
    assert site.get("/who") == [1]


def test_keep_cannot_carry_over_the_version_before(site: Site) -> None:
    """The version is the user's at this login, whatever is kept."""
    site.on_do("/again", lambda: login(site.users[1], keep=("session_version",)))
    site.get("/login/1")
    site.users[1].version += 1
    site.get("/again")
    assert site.get("/who") == [1]


def test_a_user_who_is_gone_is_anonymous(site: Site) -> None:
    """`load_user` returned None for the id in the session."""
    site.get("/login/1")
    del site.users[1]
    assert site.get("/who") == [None]


def test_a_session_without_a_version_is_anonymous_once_versions_are_checked(site: Site) -> None:
    """It began before the check was there, so nothing tells whether it should have ended."""
    site.on_do("/by-hand", lambda: get_session().update(user_id=1))
    site.get("/by-hand")
    assert site.get("/who") == [None]


@pytest.mark.parametrize("ask", [get_user, logout, lambda: login(User(1))], ids=["get_user", "logout", "login"])
def test_outside_a_request_there_is_no_user(ask: Callable[[], Any]) -> None:
    """A script is not an anonymous visitor."""
    with pytest.raises(LookupError, match="outside a request"):
        ask()


async def test_after_the_request_there_is_no_user() -> None:
    """Nothing is left in the context of a caller that runs the app in its own task."""
    transport = httpx2.ASGITransport(Site().app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        await client.get("/who")
    with pytest.raises(LookupError, match="outside a request"):
        get_user()


def test_the_user_is_known_while_a_stream_is_sent(site: Site) -> None:
    """Also in the steps that run after the middlewares returned."""

    async def steps() -> AsyncIterator[str]:
        yield f"user {get_user().id}"

    site.on("/stream", lambda: StreamingResponse(steps()))
    site.get("/login/1")
    assert site.client.get("/stream").text == "user 1"


def test_the_user_is_known_to_background_tasks(site: Site) -> None:
    """A mail can be addressed to whoever asked for it."""
    seen: list[Any] = []
    site.on("/mail", lambda: Response(background=BackgroundTask(lambda: seen.append(get_user().id))))
    site.get("/login/1")
    site.client.get("/mail")
    assert seen == [1]


def test_a_login_before_a_401_is_saved(site: Site) -> None:
    """An HTTPException is a response inside the chain, so the session is stored and its cookie set."""

    def handler() -> str:
        login(site.users[1])
        raise HTTPException(401, "second factor, please")

    site.on("/first-factor", handler)
    assert (site.get("/first-factor"), site.get("/who")) == ("second factor, please", [1])


def test_a_login_before_an_unhandled_exception_is_not_saved() -> None:
    """Nothing of a request that broke is kept, and the browser's cookie stays as it was."""

    fresh = Site()

    def handler() -> str:
        login(fresh.users[1])
        raise ValueError("broken")

    fresh.on("/broken", handler)
    client = TestClient(fresh.app, raise_server_exceptions=False)
    assert (client.get("/broken").status_code, COOKIE in client.cookies) == (500, False)


def test_a_page_that_asks_for_the_user_varies_by_cookie(site: Site) -> None:
    """A shared cache must not give one user's page to another."""
    site.get("/login/1")
    assert site.client.get("/who").headers["vary"] == "Cookie"


def test_a_page_that_does_not_ask_is_the_same_for_all(site: Site) -> None:
    """Looking the user up is not yet using it."""
    site.on("/news", lambda: "news")
    site.get("/login/1")
    assert "vary" not in site.client.get("/news").headers


def test_a_path_excluded_from_sessions_is_served_without_a_user(site: Site) -> None:
    """No session is loaded for it, so asking for the user there is a mistake that shows."""

    def handler() -> str:
        with pytest.raises(LookupError, match="exclude_paths"):
            get_user()
        return "logo"

    site.on("/static/logo", handler)
    assert site.get("/static/logo") == "logo"


def test_without_a_session_middleware_outside_it_is_a_configuration_error() -> None:
    """The error says in which order the two are added."""
    app = App()
    app.route("/")(lambda: "")
    app.add_middleware(AuthMiddleware(AuthConfig(load_user=User)))
    with pytest.raises(ConfigurationError, match="add SessionMiddleware before it"):
        TestClient(app).get("/")


async def version_later(user: User) -> Any:
    return user.version


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"load_user": None}, "load_user=None"),
        ({"load_user": User, "session_version": 3}, "session_version=3"),
        ({"load_user": User, "session_version": version_later}, "session_version=.*must be a plain"),
        ({"load_user": User, "remember_seconds": 0}, "remember_seconds=0: must be from 1 to 34560000 seconds"),
        ({"load_user": User, "remember_seconds": 1.5}, "remember_seconds=1.5: must be a whole number"),
        ({"load_user": User, "clock": 5}, "clock=5: must be a function"),
    ],
    ids=["load_user", "session_version", "async session_version", "remember 0", "remember 1.5", "clock"],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], name: str) -> None:
    """The error names it at construction."""
    with pytest.raises(ConfigurationError, match=name):
        AuthConfig(**settings)
