"""docs/how-to/websockets.md is executed."""

from collections.abc import Callable

import pytest
from programs import Document
from servers import OwnServer
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
