"""A session as `login()` leaves it."""

from dataclasses import replace
from typing import Any

import pytest
from session_kit import browser, config_with
from starlette.requests import Request

from chirp.app import App
from chirp.middleware.auth import AuthConfig, AuthMiddleware, get_user, require_recent_login
from chirp.middleware.sessions import MemorySessionStore, SessionMiddleware
from chirp.testing import ManualClock, put_session_sync, signed_in

USER = {"id": 1, "version": 3}


def site(auth: AuthConfig, data: dict[str, Any]) -> Any:
    config = config_with()
    store = MemorySessionStore(config)
    app = App()
    app.add_middleware(SessionMiddleware(replace(config, store=store)))
    app.add_middleware(AuthMiddleware(auth))

    @app.route("/recent")
    async def recent(request: Request) -> Any:
        require_recent_login(60)
        return {"me": get_user()["id"]}

    client = browser(app)
    put_session_sync(client, store, data)
    return client


@pytest.mark.parametrize("versioned", [False, True])
def test_it_is_enough_for_what_needs_a_recent_login(versioned: bool) -> None:
    """And for a user whose sessions have versions."""
    clock = ManualClock()
    auth = AuthConfig(
        lambda user_id: USER, session_version=(lambda user: user["version"]) if versioned else None, clock=clock
    )
    client = site(auth, signed_in(USER, auth))
    assert client.get("/recent").json() == {"me": 1}
    clock.move(61)
    assert client.get("/recent").status_code == 403


def test_the_user_key_is_the_config_s() -> None:
    """Where the app has named it."""
    auth = AuthConfig(lambda user_id: USER)
    data = signed_in(USER, auth, user_key="uid")
    assert (data["uid"], "user_id" in data) == (1, False)


def test_a_user_without_an_id_is_refused() -> None:
    """As `login()` refuses them."""
    with pytest.raises(TypeError, match=r"signed_in\(\) got a dict whose id is a NoneType"):
        signed_in({}, AuthConfig(lambda user_id: USER))
