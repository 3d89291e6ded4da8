"""docs/how-to/asgi.md is executed: its program counts visits in Redis."""

import pytest
from how_to_kit import connections_at, sessions_in
from programs import Document
from servers import StartServer
from starlette.testclient import TestClient

PAGE = Document("docs/how-to/asgi.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_counter_program(own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits are counted, and the shutdown closes the connections."""
    url = own_server().url
    monkeypatch.setenv("REDIS_URL", url)
    module = PAGE.run("counter")
    with TestClient(module["app"]) as client:
        assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]
        assert sessions_in(module["store"], client) == [None]
        assert connections_at(url) >= 1
    assert connections_at(url) == 0
