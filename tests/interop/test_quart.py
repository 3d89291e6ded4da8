"""Quart: `get_session()` beside its own session."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import quart
from framework_kit import accepts_with_a_cookie, session_after_a_login
from quart import Quart, websocket
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore, get_session, regenerate_session

app = Quart(__name__)
app.secret_key = "for tests alone"


@app.get("/read")
async def read() -> Any:
    return {"ours": dict(get_session()), "quart": dict(quart.session)}


@app.get("/write")
async def write() -> str:
    get_session()["key"] = "kept"
    return ""


@app.get("/both")
async def both() -> str:
    get_session()["key"] = "kept"
    quart.session["own"] = 1
    return ""


@app.get("/login")
async def login() -> str:
    regenerate_session()["user_id"] = "ada"
    return ""


@app.get("/in-a-thread")
def in_a_thread() -> str:
    get_session()["key"] = "kept"
    return ""


@app.get("/streams")
async def streams() -> Any:
    get_session()["key"] = "kept"

    async def parts() -> Any:
        yield b"part"

    return parts()


@app.get("/fails")
async def fails() -> str:
    get_session()["key"] = "kept"
    raise ValueError("a defect")


@app.get("/refuses")
async def refuses() -> str:
    get_session()["key"] = "kept"
    return quart.abort(418)


@app.websocket("/socket")
async def socket() -> None:
    get_session()["key"] = "kept"
    await websocket.accept()
    await websocket.send(get_session()["key"])


@pytest.fixture
def client() -> Iterator[TestClient]:
    wrapped = ASGISessionMiddleware(app, replace(CONFIG, store=MemorySessionStore(CONFIG)))
    with TestClient(wrapped, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/write", "/in-a-thread", "/streams", "/refuses", "/fails"])
def test_a_change_is_stored(client: TestClient, path: str) -> None:
    """It is there at the next request; Quart has made responses of exceptions by then."""
    client.get(path)
    assert client.get("/read").json()["ours"] == {"key": "kept"}


def test_both_sessions_live_side_by_side(client: TestClient) -> None:
    """Each has a cookie and data of its own."""
    client.get("/both")
    assert set(client.cookies) == {"session", CONFIG.cookie_name}
    assert client.get("/read").json() == {"ours": {"key": "kept"}, "quart": {"own": 1}}


def test_a_login_changes_the_id(client: TestClient) -> None:
    """Only the new session has the user, and nothing of the one before."""
    assert session_after_a_login(client)["ours"] == {"user_id": "ada"}


def test_a_websocket_stores_what_changed_before_it_was_accepted(client: TestClient) -> None:
    """The cookie comes with the handshake."""
    accepts_with_a_cookie(client)
