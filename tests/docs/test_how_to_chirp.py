"""docs/how-to/chirp.md is executed: its program counts visits in Redis."""

import pytest
from how_to_kit import connections_at, counts_and_signs_in, is_refused_while_out
from programs import Document
from servers import StartServer
from starlette.testclient import TestClient

PAGE = Document("docs/how-to/chirp.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_counter_program(own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits, login and logout work, an outage is a 503, and the shutdown closes the connections."""
    server = own_server()
    monkeypatch.setenv("REDIS_URL", server.url)
    module = PAGE.run("counter")
    with TestClient(module["app"]) as client:
        counts_and_signs_in(client, module["store"])
        is_refused_while_out(client, server)
        assert connections_at(server.url) >= 1
    assert connections_at(server.url) == 0
