"""An outage and a sync handler as a browser sees them, through `ASGISessionMiddleware` in a Starlette app."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from servers import OwnServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from visits import CONFIG

from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    RedisSessionStore,
    SessionConfig,
    get_session,
    regenerate_session,
    rotate_session,
)

COOKIE = CONFIG.cookie_name
ANONYMOUS = replace(CONFIG, on_store_error="anonymous")


class Site:
    """An app with a session that shows it, changes it and ends it, and a browser that visits it.

    Attributes:
        handled: the paths whose handlers have run.
        meanwhile: called in the handler of /slow.
    """

    def __init__(self, url: str, key_prefix: str, config: SessionConfig = CONFIG) -> None:
        self.handled: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.store = RedisSessionStore(config, url, key_prefix, timeout_seconds=0.3)
        routes = [
            Route(f"/{name}", self._handler(action), methods=["GET", "POST"])
            for name, action in {
                "show": lambda: None,
                "put": lambda: get_session().update(a=1),
                "slow": lambda: (get_session().update(b=2), self.meanwhile()),
                "leave": lambda: get_session().clear(),
                "regenerate": regenerate_session,
                "login": lambda: regenerate_session().update(user_id=7),
                "become": lambda: get_session().update(user_id=8),
                "rotate": rotate_session,
            }.items()
        ]
        app = ASGISessionMiddleware(Starlette(routes=routes), replace(config, store=self.store))
        self.browser = TestClient(app, base_url="https://testserver")

    def _handler(self, action: Callable[[], object]) -> Callable[[Request], JSONResponse]:
        def handler(request: Request) -> JSONResponse:  # not async, so it runs in a worker thread
            self.handled.append(request.url.path)
            action()
            return JSONResponse({"data": dict(request.session), "available": get_session().available})

        return handler

    def data(self) -> Any:
        return self.browser.get("/show").json()["data"]

    @property
    def cookie(self) -> str | None:
        return self.browser.cookies.get(COOKIE)


MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(server: OwnServer, key_prefix: str) -> Iterator[MakeSite]:
    """Make a site whose sessions are in the test's own server; its browser has visited /put."""
    sites: list[Site] = []

    def make(config: SessionConfig = CONFIG) -> Site:
        site = Site(server.url, key_prefix, config)
        site.browser.__enter__()
        sites.append(site)
        assert site.browser.post("/put").status_code == 200
        site.handled.clear()
        return site

    yield make
    server.thaw()
    for site in sites:
        site.browser.__exit__()


@pytest.fixture
def site(redis_url: str, key_prefix: str) -> Iterator[Site]:
    """A site whose sessions are in the server of the run."""
    site = Site(redis_url, key_prefix)
    with site.browser:
        yield site


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_frozen_server_is_a_503_before_the_handler_runs(make_site: MakeSite, server: OwnServer, method: str) -> None:
    """Nothing was done, so that any method may try again after the time named."""
    site = make_site()
    server.freeze()
    response = site.browser.request(method, "/put")
    assert (response.status_code, response.headers["retry-after"], site.handled) == (503, "5", [])
    assert "set-cookie" not in response.headers
    assert response.headers["cache-control"] == "no-store"


def test_after_the_freeze_the_browser_is_still_signed_in(make_site: MakeSite, server: OwnServer) -> None:
    """Nobody is logged out by an outage: the same cookie leads to the same session afterwards."""
    site = make_site()
    cookie = site.cookie
    server.freeze()
    site.browser.get("/show")
    server.thaw()
    assert site.data() == {"a": 1}
    assert site.cookie == cookie


@pytest.mark.parametrize("config", [CONFIG, ANONYMOUS], ids=["unavailable", "anonymous"])
def test_a_visitor_without_a_cookie_is_served_while_the_server_is_frozen(
    make_site: MakeSite, server: OwnServer, config: SessionConfig
) -> None:
    """A request that needs no session does not need Redis."""
    site = make_site(config)
    site.browser.cookies.clear()
    server.freeze()
    response = site.browser.get("/show")
    assert (response.status_code, response.json()) == (200, {"data": {}, "available": True})


@pytest.mark.parametrize(("method", "retry_after"), [("GET", "5"), ("POST", None)])
def test_a_save_that_fails_replaces_the_response(
    make_site: MakeSite, server: OwnServer, method: str, retry_after: str | None
) -> None:
    """The handler ran but its change is not stored: a 503, which only a safe request is asked to repeat."""
    site = make_site()
    site.meanwhile = server.freeze
    response = site.browser.request(method, "/slow")
    assert (response.status_code, response.headers.get("retry-after"), site.handled) == (503, retry_after, ["/slow"])
    assert "set-cookie" not in response.headers


def test_in_anonymous_mode_the_handler_runs_without_its_session(make_site: MakeSite, server: OwnServer) -> None:
    """It sees an empty session that says why, and the browser keeps its cookie."""
    site = make_site(ANONYMOUS)
    cookie = site.cookie
    server.freeze()
    response = site.browser.get("/show")
    assert (response.status_code, response.json()) == (200, {"data": {}, "available": False})
    assert "set-cookie" not in response.headers
    assert site.cookie == cookie


def test_in_anonymous_mode_nothing_is_stored_and_the_loss_is_logged(
    make_site: MakeSite, server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What the handler stores is lost with a warning; afterwards the old session is there unchanged."""
    site = make_site(ANONYMOUS)
    server.freeze()
    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        response = site.browser.post("/slow")
    assert (response.status_code, "set-cookie" in response.headers) == (200, False)
    assert "lost" in caplog.text
    server.thaw()
    assert site.data() == {"a": 1}


def test_in_anonymous_mode_a_save_that_fails_goes_out_without_a_cookie(
    make_site: MakeSite, server: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The server freezes while the handler runs: its response stands, and the loss is logged."""
    site = make_site(ANONYMOUS)
    site.meanwhile = server.freeze
    with caplog.at_level(logging.WARNING, "chirp.sessions"):
        response = site.browser.post("/slow")
    assert (response.status_code, "set-cookie" in response.headers) == (200, False)
    assert "lost" in caplog.text


@pytest.mark.parametrize("path", ["/leave", "/regenerate", "/login", "/rotate", "/become"])
def test_in_anonymous_mode_an_end_or_a_new_id_is_never_pretended(
    make_site: MakeSite, server: OwnServer, path: str
) -> None:
    """A logout or a login that cannot be carried out is a 503, and the session is there afterwards."""
    site = make_site(ANONYMOUS)
    server.freeze()
    response = site.browser.post(path)
    assert (response.status_code, "set-cookie" in response.headers) == (503, False)
    server.thaw()
    assert site.data() == {"a": 1}


def test_a_logout_without_memory_is_a_503_and_takes_effect(make_site: MakeSite, server: OwnServer) -> None:
    """The old session is deleted although the request is told that something went wrong."""
    site = make_site()
    with Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        assert site.browser.post("/leave").status_code == 503
        client.config_set("maxmemory", 0)
    assert site.data() == {}


@pytest.mark.parametrize(
    ("path", "after"),
    [("/regenerate", {}), ("/login", {"user_id": 7}), ("/rotate", {"a": 1}), ("/become", {"a": 1, "user_id": 8})],
)
def test_a_new_id_asked_for_in_a_worker_thread_is_given(site: Site, path: str, after: dict[str, int]) -> None:
    """A sync handler runs in a thread; its request for a new id reaches the response, and the old id is dead."""
    site.browser.post("/put")
    old = site.cookie
    site.browser.post(path)
    new = site.cookie
    assert new not in (None, old)
    assert site.data() == after
    site.browser.cookies.clear()
    assert site.browser.get("/show", headers={"cookie": f"{COOKIE}={old}"}).json()["data"] == {}


def test_a_logout_in_a_worker_thread_deletes_the_cookie(site: Site) -> None:
    """The browser's cookie is gone, and with it the way to the session."""
    site.browser.post("/put")
    old = site.cookie
    site.browser.post("/leave")
    assert site.cookie is None
    assert site.browser.get("/show", headers={"cookie": f"{COOKIE}={old}"}).json()["data"] == {}


@pytest.mark.parametrize("value", ["", "x", "ä" * 43, "x" * 44, "../" * 14 + "x", "x" * 8000, '"' + "x" * 43 + '"'])
def test_no_cookie_makes_an_error(site: Site, value: str) -> None:
    """Malformed cookies are anonymous requests."""
    response = site.browser.get("/show", headers={"cookie": f"{COOKIE}={value}".encode()})
    assert (response.status_code, response.json()["data"]) == (200, {})
    assert "set-cookie" not in response.headers
