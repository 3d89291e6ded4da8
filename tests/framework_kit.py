"""What is expected of each framework whose app answers `/read`, `/write`, `/login` and a WebSocket at `/socket`."""

from typing import Any

from starlette.testclient import TestClient


def session_after_a_login(client: TestClient) -> Any:
    """Store something, log in, expect another cookie, and return what the next request reads."""
    client.get("/write")
    before = dict(client.cookies)
    client.get("/login")
    assert dict(client.cookies) != before
    return client.get("/read").json()


def accepts_with_a_cookie(client: TestClient) -> None:
    """Expect one cookie in the handshake of a WebSocket that changes the session before it."""
    with client.websocket_connect("/socket") as connection:
        assert connection.receive_text() == "kept"
        cookies = [value for name, value in connection.extra_headers or () if name == b"set-cookie"]
    assert len(cookies) == 1
