"""The how-tos of chirp, Litestar and Quart are executed: their programs count visits in Redis."""

import pytest
from how_to_kit import connections_at, counts_and_signs_in, is_refused_while_out
from programs import Document
from servers import StartServer
from starlette.testclient import TestClient


@pytest.fixture(params=["docs/how-to/chirp.md", "docs/how-to/litestar.md", "docs/how-to/quart.md"])
def page(request: pytest.FixtureRequest) -> Document:
    """Each of the pages."""
    return Document(request.param)


def test_every_python_block_is_a_program_that_is_executed(page: Document) -> None:
    """No example escapes these tests."""
    page.expect_all_tested(globals())


def test_the_counter_program(page: Document, own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits, login and logout work, an outage is a 503, and the shutdown closes the connections."""
    server = own_server()
    monkeypatch.setenv("REDIS_URL", server.url)
    module = page.run("counter")
    with TestClient(module["app"]) as client:
        counts_and_signs_in(client, module["store"])
        is_refused_while_out(client, server)
        assert connections_at(server.url) >= 1
    assert connections_at(server.url) == 0
