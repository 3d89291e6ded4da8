"""The how-tos of Starlette and FastAPI are executed: their programs count visits and sign users in."""

import pytest
from programs import Document
from servers import StartServer
from starlette.testclient import TestClient


@pytest.fixture(params=["docs/how-to/fastapi.md", "docs/how-to/starlette.md"])
def page(request: pytest.FixtureRequest) -> Document:
    """Each of the pages."""
    return Document(request.param)


def test_every_python_block_is_a_program_that_is_executed(page: Document) -> None:
    """No example escapes these tests."""
    page.expect_all_tested(globals())


def test_the_login_program(page: Document, own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts visits, and signs in and out."""
    monkeypatch.setenv("REDIS_URL", own_server().url)
    with TestClient(page.run("login")["app"]) as client:
        assert client.get("/").json() == {"user": None, "visits": 1}
        assert client.get("/").json() == {"user": None, "visits": 2}
        client.post("/login/ada")
        assert client.get("/").json() == {"user": "ada", "visits": 1}
        client.post("/logout")
        assert client.get("/").json() == {"user": None, "visits": 1}
