"""docs/how-to/migrate-from-starsessions.md is executed: who signed in before is signed in after."""

import pytest
from programs import Document
from servers import StartServer
from starlette.testclient import TestClient

PAGE = Document("docs/how-to/migrate-from-starsessions.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


@pytest.fixture
def client(own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A browser that signed in on the app as it was, and is on the new one now."""
    for name in ("SECRET_KEY", "OLD_SECRET_KEY"):
        monkeypatch.setenv(name, f"{name} of the tests, and long enough")
    monkeypatch.setenv("REDIS_URL", own_server().url)
    with TestClient(PAGE.run("before")["app"], base_url="https://testserver") as before:
        before.get("/login/ada")
        assert before.get("/").json() == "ada"
    after = TestClient(PAGE.run("after")["app"], base_url="https://testserver")
    after.cookies = before.cookies
    return after


def test_the_before_program(client: TestClient) -> None:
    """Its cookie is what the new app takes over."""
    assert set(client.cookies) == {"session"}


def test_the_after_program(client: TestClient) -> None:
    """It goes on with the session, under a cookie of its own, and a logout ends it."""
    with client:
        assert client.get("/").json() == "ada"
        assert set(client.cookies) == {"chirp_session"}
        client.get("/logout")
        assert client.get("/").json() is None
