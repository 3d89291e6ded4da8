"""docs/how-to/websockets.md is executed."""

from collections.abc import Callable

import pytest
from open_connections import held
from programs import Document
from servers import OwnServer
from session_kit import COOKIE, browser
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

PAGE = Document("docs/how-to/websockets.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_chat_program(own_server: Callable[..., OwnServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said is saved, and a logout elsewhere closes the socket."""
    monkeypatch.setenv("REDIS_URL", own_server().url)
    with TestClient(PAGE.run("chat")["app"]) as client:
        client.post("/sign-in/ada")
        with client.websocket_connect("/chat") as talk:
            for said in (["a"], ["a", "b"]):
                talk.send_text(said[-1])
                assert talk.receive_json() == said
            client.post("/sign-out")
            with pytest.raises(WebSocketDisconnect) as closed:
                talk.receive_text()
    assert closed.value.code == 1008


async def test_the_shop_program(own_server: Callable[..., OwnServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a task and a body have saved is there, and events end with a sign-out elsewhere, whole."""
    monkeypatch.setenv("REDIS_URL", own_server().url)
    app = PAGE.run("shop")["app"]
    with browser(app) as client:
        client.post("/sign-in/ada")
        assert client.post("/order").json() == {"user_id": "ada", "order": "taken"}
        assert client.get("/export").text == "0\n1\n2\n"
        assert client.get("/account").json() == {"user_id": "ada", "order": "packed", "exported": True}
        async with held(app, "http", client.cookies[COOKIE], "/events") as events:
            await events.until_body()
            client.post("/sign-out")
            await events.ended()
    bodies = [message for message in events.sent if message["type"] == "http.response.body"]
    assert [(message["body"], message["more_body"]) for message in bodies] == [
        (b"data: hello ada\n\n", True),
        (b"", False),
    ]
