"""A handler may answer every request with one and the same response object."""

from typing import Any

import pytest
from session_kit import COOKIE, WatchedStore, browser, config_with, cookies_set
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse

from chirp.app import App
from chirp.middleware.auth import AuthConfig, AuthMiddleware
from chirp.middleware.sessions import SessionMiddleware, get_session
from chirp.middleware.streaming import own_copy


@pytest.fixture(params=["plain", "with a background task"])
def shared(request: pytest.FixtureRequest) -> PlainTextResponse:
    background = BackgroundTask(lambda: None) if request.param != "plain" else None
    return PlainTextResponse("ok", background=background)


@pytest.fixture
def app(shared: PlainTextResponse) -> App:
    store = WatchedStore(config_with())
    app = App()
    app.add_middleware(SessionMiddleware(config_with(store=store)))
    app.add_middleware(AuthMiddleware(AuthConfig(load_user=lambda user_id: None)))

    @app.route("/put")
    def put() -> Any:
        get_session()["user"] = "alice"
        return shared

    app.route("/plain")(lambda: shared)

    @app.route("/read")
    def read() -> Any:
        get_session()
        return shared

    return app


def test_one_browsers_cookie_never_reaches_another(app: App) -> None:
    """The cookie is set on a response of the request's own."""
    assert len(cookies_set(browser(app).get("/put"))) == 1
    stranger = browser(app).get("/plain")
    assert cookies_set(stranger) == []
    assert "cache-control" not in stranger.headers


def test_a_shared_response_does_not_grow(app: App, shared: PlainTextResponse) -> None:
    """Neither its headers nor its background tasks, however many requests it answers."""
    headers, background = list(shared.raw_headers), shared.background
    client = browser(app)
    for _ in range(3):
        assert client.get("/read").headers.get_list("vary") == ["Cookie"]
    assert (shared.raw_headers, shared.background) == (headers, background)


def test_a_copy_has_headers_of_its_own() -> None:
    """Also when the original's have been looked at before."""
    original = PlainTextResponse("ok")
    assert "x" not in original.headers
    copied = own_copy(original)
    copied.headers["x"] = COOKIE
    assert ("x" in original.headers, copied.headers["x"]) == (False, COOKIE)
