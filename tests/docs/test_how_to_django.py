"""docs/how-to/django.md is executed: its program counts visits in Redis."""

import pytest
from django.conf import settings
from django.utils.functional import empty
from how_to_kit import connections_at, counts_and_signs_in, is_refused_while_out, visitor_without_lifespan
from programs import Document
from servers import StartServer

PAGE = Document("docs/how-to/django.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_counter_program(own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits, login and logout work from async and sync views, an outage is a 503."""
    server = own_server()
    monkeypatch.setenv("REDIS_URL", server.url)
    settings._wrapped = empty  # what can be configured once is as it was before
    module = PAGE.run("counter")
    with visitor_without_lifespan(module) as client:
        client.base_url = "http://localhost"
        counts_and_signs_in(client, module["store"])
        is_refused_while_out(client, server)
        assert connections_at(server.url) >= 1
    assert connections_at(server.url) == 0
