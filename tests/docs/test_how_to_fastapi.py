"""docs/how-to/fastapi.md is executed."""

from collections.abc import Callable

import pytest
from programs import Document
from servers import OwnServer
from starlette.testclient import TestClient

PAGE = Document("docs/how-to/fastapi.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_login_program(own_server: Callable[..., OwnServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts visits, and signs in and out."""
    monkeypatch.setenv("REDIS_URL", own_server().url)
    with TestClient(PAGE.run("login")["app"]) as client:
        assert client.get("/").json() == {"user": None, "visits": 1}
        assert client.get("/").json() == {"user": None, "visits": 2}
        client.post("/login/ada")
        assert client.get("/").json() == {"user": "ada", "visits": 1}
        client.post("/logout")
        assert client.get("/").json() == {"user": None, "visits": 1}
