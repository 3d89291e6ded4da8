"""The how-tos of migrations are executed: who signed in before is signed in after."""

import pytest
from programs import Document
from servers import StartServer
from starlette.testclient import TestClient


@pytest.fixture(
    params=[
        "docs/how-to/migrate-from-json-in-redis.md",
        "docs/how-to/migrate-from-starlette.md",
        "docs/how-to/migrate-from-starsessions.md",
    ]
)
def page(request: pytest.FixtureRequest) -> Document:
    """Each of the pages."""
    return Document(request.param)


@pytest.fixture
def client(page: Document, own_server: StartServer, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A browser that signed in on the app as it was, and is on the new one now."""
    for name in ("SECRET_KEY", "OLD_SECRET_KEY"):
        monkeypatch.setenv(name, f"{name} of the tests, and long enough")
    monkeypatch.setenv("REDIS_URL", own_server().url)
    with TestClient(page.run("before")["app"], base_url="https://testserver") as before:
        before.get("/login/ada")
        assert before.get("/").json() == "ada"
    after = TestClient(page.run("after")["app"], base_url="https://testserver")
    after.cookies = before.cookies
    return after


def test_every_python_block_is_a_program_that_is_executed(page: Document) -> None:
    """No example escapes these tests."""
    page.expect_all_tested(globals())


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
