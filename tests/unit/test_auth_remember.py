"""`login(user, remember=...)`: how long the session lives, and whether the cookie outlives the browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from auth_site import CONFIG, Site

from chirp.middleware.auth import login, logout
from chirp.middleware.sessions import CookieSessionStore, MemorySessionStore, get_session

DAY = 86400
STORES = {"memory": MemorySessionStore, "cookie": CookieSessionStore}


def with_logins(site: Site) -> Site:
    """Add a path for each way to sign in and out, with a sync and with an async handler."""

    def add(path: str, action: Callable[[], None]) -> None:
        async def handler() -> str:
            action()
            return ""

        site.on_do(path, action)
        site.on(f"{path}/async", handler)

    for name, remember in {"always": True, "now": False, "default": None}.items():
        add(f"/{name}", lambda remember=remember: login(site.users[1], remember=remember))  # type: ignore[misc]
    add("/leave", logout)
    site.on("/lifetime", lambda: [get_session().max_age, get_session().persistent])
    return site


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    one = with_logins(Site(CONFIG, STORES[request.param], remember_seconds=7 * DAY))
    with one.client:
        yield one


@pytest.mark.parametrize("kind", ["", "/async"], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("how", "attribute", "lifetime"),
    [
        ("always", f"Max-Age={7 * DAY};", [7 * DAY, True]),
        ("now", None, [None, False]),
        ("default", f"Max-Age={DAY};", [None, True]),
    ],
)
def test_what_the_browser_is_told(site: Site, how: str, attribute: str | None, lifetime: list[Any], kind: str) -> None:
    """And what is stored; from sync and from async handlers."""
    header = site.client.get(f"/{how}{kind}").headers["set-cookie"]
    assert attribute in header if attribute else "Max-Age" not in header
    assert (site.get("/who"), site.get("/lifetime")) == ([1], lifetime)


@pytest.mark.parametrize("kind", ["", "/async"], ids=["sync", "async"])
def test_a_logout_ends_a_remembered_login(site: Site, kind: str) -> None:
    """From sync and from async handlers."""
    site.get("/always")
    site.get(f"/leave{kind}")
    assert site.get("/who") == [None]


def test_a_remembered_login_outlives_the_others(site: Site) -> None:
    """As long as the setting says, counted from the last visit."""
    for how, lives in {"always": 7 * DAY, "now": DAY, "default": DAY}.items():
        site.get(f"/{how}")
        site.clock.move(lives - 1)
        assert site.get("/who") == [1]
        site.clock.move(lives)
        assert site.get("/who") == [None]


def test_the_next_login_in_this_browser_is_not_remembered_because_the_last_one_was(site: Site) -> None:
    """Somebody else may be sitting there."""
    site.get("/always")
    site.get("/default")
    assert site.get("/lifetime") == [None, True]


def test_a_month_is_the_default() -> None:
    """30 days."""
    site = with_logins(Site())
    site.get("/always")
    assert site.get("/lifetime") == [30 * DAY, True]


def test_a_remembered_login_is_held_to_the_idle_timeout() -> None:
    """Which is there for the browsers that people leave open."""
    site = with_logins(Site(replace(CONFIG, idle_timeout_seconds=1800)))
    site.get("/always")
    site.clock.move(1800)
    assert site.get("/who") == [None]
