"""docs/how-to/key-rotation.md is executed: nobody is logged out by a new key or a new id."""

from collections.abc import Callable

import pytest
from programs import Document
from servers import OwnServer
from starlette.testclient import TestClient

PAGE = Document("docs/how-to/key-rotation.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_three_deployments_program(capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what the page says: the user has been signed in all along."""
    PAGE.run("three_deployments")
    printed = capsys.readouterr().out.strip()
    assert printed == "{'user_id': 7, 'pages': 3}"
    assert f"# {printed}" in PAGE.programs["three_deployments"]


def test_the_renew_program(own_server: Callable[..., OwnServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is another one when it is time, and the session goes on."""
    monkeypatch.setenv("REDIS_URL", own_server().url)
    monkeypatch.setenv("RENEW_AFTER", "900")
    with TestClient(PAGE.run("renew")["app"]) as client:
        client.get("/")
        first = client.cookies["chirp_session"]
        assert client.get("/").json() == {"visits": 2}
        assert client.cookies["chirp_session"] == first
    monkeypatch.setenv("RENEW_AFTER", "0")
    with TestClient(PAGE.run("renew")["app"], cookies={"chirp_session": first}) as client:
        response = client.get("/")
        assert response.json() == {"visits": 3}
        assert first not in response.headers["set-cookie"]
        assert client.get("/", headers={"cookie": f"chirp_session={first}"}).json() == {"visits": 4}
