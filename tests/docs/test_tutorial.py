"""docs/tutorial.md is executed: each step is a shop that works, and its tests pass."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from programs import Document
from servers import OwnServer
from starlette.testclient import TestClient

PAGE = Document("docs/tutorial.md")
ADA = {"name": "ada", "password": "horse"}


@pytest.fixture
def server(own_server: Callable[..., OwnServer], monkeypatch: pytest.MonkeyPatch) -> OwnServer:
    """The Redis of the programs, which use the default prefix."""
    server = own_server()
    monkeypatch.setenv("REDIS_URL", server.url)
    return server


def browser(name: str) -> TestClient:
    return TestClient(PAGE.run(name)["app"])


def fill(client: Any) -> dict[str, Any]:
    """Put two things into the cart, and return what the second request is told."""
    client.post("/cart/tea")
    answer: dict[str, Any] = client.post("/cart/cup").json()
    return answer


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_first_program() -> None:
    """It has a cart, and whoever only looks gets no cookie."""
    with browser("first") as client:
        assert "set-cookie" not in client.get("/cart").headers
        assert fill(client) == {"cart": ["tea", "cup"]}
        assert client.get("/cart").json() == {"cart": ["tea", "cup"]}


def test_the_redis_program(server: OwnServer) -> None:
    """The same, with an id in the cookie."""
    with browser("redis") as client:
        assert fill(client) == {"cart": ["tea", "cup"]}
        assert client.get("/cart").json() == {"cart": ["tea", "cup"]}
        assert len(client.cookies["chirp_session"]) == 43


def test_the_login_program(server: OwnServer) -> None:
    """The cart comes along under a new id, and after a logout the id leads nowhere."""
    with browser("login") as client:
        assert fill(client)["user"] is None
        before = client.cookies["chirp_session"]
        assert client.post("/login", json={**ADA, "password": "wrong"}).status_code == 401
        assert client.post("/login", json=ADA).json() == {"user": "ada"}
        signed_in = client.cookies["chirp_session"]
        assert signed_in != before
        assert client.get("/cart").json() == {"user": "ada", "cart": ["tea", "cup"]}
        client.post("/logout")
        for dead in (before, signed_in):
            client.cookies.set("chirp_session", dead)
            assert client.get("/cart").json() == {"user": None, "cart": []}


def test_the_devices_program(server: OwnServer) -> None:
    """Two devices of one user; one signs the other out."""
    app = PAGE.run("devices")["app"]
    with TestClient(app) as client, TestClient(app) as other:
        assert client.get("/devices").status_code == 401
        assert fill(client)["cart"] == ["tea", "cup"]
        client.post("/login", json=ADA)
        other.post("/login", json=ADA)
        found = client.get("/devices").json()
        assert sorted(one["this one"] for one in found) == [False, True]
        (handle,) = [one["handle"] for one in found if not one["this one"]]
        assert client.delete(f"/devices/{handle}").json() == {"ended": True}
        assert other.get("/devices").status_code == 401
        client.post("/logout")
        assert client.get("/devices").status_code == 401


def test_a_shop_without_its_redis_answers_503(server: OwnServer) -> None:
    """As the step on outages says, and the user is still signed in afterwards."""
    with browser("login") as client:
        client.post("/login", json=ADA)
        server.freeze()
        refused = client.get("/cart")
        server.thaw()
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        assert client.get("/cart").json()["user"] == "ada"


def test_the_anonymous_program(server: OwnServer) -> None:
    """Its page is there during an outage, and the cart afterwards."""
    with browser("anonymous") as client:
        client.post("/cart/tea")
        server.freeze()
        during = client.get("/")
        server.thaw()
        assert during.json()["cart"] == "not available right now"
        assert "set-cookie" not in during.headers
        assert client.get("/").json()["cart"] == ["tea"]


def test_the_tests_program(tmp_path: Path) -> None:
    """The tests of the last step pass with the program of step 4."""
    tmp_path.joinpath("shop.py").write_text(PAGE.programs["devices"], "utf-8")
    tmp_path.joinpath("test_shop.py").write_text(PAGE.programs["tests"], "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "anyio.pytest_plugin", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
