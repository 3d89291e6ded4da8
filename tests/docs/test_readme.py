"""README.md is executed: each of its programs runs as written, and does what the text around it says."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from programs import Document
from redis import Redis
from starlette.testclient import TestClient

README = Document("README.md")
KEY_PREFIX = "chirp:session:"


@pytest.fixture
def redis_of_the_run(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """The programs' Redis. Their prefix is the default one, so the keys they leave are told apart by what was there."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as client:
        before = set(client.scan_iter(match=f"{KEY_PREFIX}*"))
        yield client
        for key in set(client.scan_iter(match=f"{KEY_PREFIX}*")) - before:
            client.delete(key)


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    README.expect_all_tested(globals())


def test_the_cookie_program() -> None:
    """It counts visits, in under 20 lines, and sets the cookie that the README shows."""
    assert len(README.programs["cookie"].strip().splitlines()) < 20
    shown = re.search(r"<!-- set-cookie: cookie -->\n```\nset-cookie: (.*)\n```", README.text)
    assert shown is not None
    with TestClient(README.run("cookie")["app"]) as client:
        first = client.get("/")
        assert first.json() == {"visits": 1}
        assert client.get("/").json() == {"visits": 2}
    value, attributes = first.headers["set-cookie"].split("; ", 1)
    shown_value, shown_attributes = shown[1].split("; ", 1)
    assert attributes == shown_attributes
    assert re.sub(r"[\w-]+", "x", value) == re.sub(r"[\w-]+", "x", shown_value)


def test_the_cookie_that_the_readme_shows_is_real() -> None:
    """It verifies with the program's secret, and holds the program's session."""
    shown = re.search(r"set-cookie: chirp_session=([^;]+);", README.text)
    assert shown is not None
    from chirp import CookieSessionStore, SessionConfig  # noqa: PLC0415 - only here

    secret = re.search(r'secret_key="([^"]+)"', README.programs["cookie"])
    assert secret is not None
    store = CookieSessionStore(SessionConfig(secret[1]), clock=lambda: 0.0)
    assert dict(asyncio.run(store.open(shown[1], https=False))) == {"visits": 1}


def test_the_redis_program(redis_of_the_run: Redis) -> None:
    """It counts visits in Redis, and the cookie holds an id only."""
    module = README.run("redis")
    with TestClient(module["app"]) as client:
        assert client.get("/").json() == {"visits": 1}
        assert client.get("/").json() == {"visits": 2}
        session_id = client.cookies["chirp_session"]
    assert re.fullmatch(r"[\w-]{43}", session_id)
    document = redis_of_the_run.get(module["store"].key_for(session_id))
    assert isinstance(document, bytes)
    assert b'"data":{"visits":2}' in document


def test_the_fastapi_program(redis_of_the_run: Redis) -> None:
    """It signs in and out, each time under another id."""
    with TestClient(README.run("fastapi")["app"]) as client:
        assert client.get("/").json() == {"user": None}
        client.post("/login/ada")
        session_id = client.cookies["chirp_session"]
        assert client.get("/").json() == {"user": "ada"}
        client.post("/logout")
        assert client.get("/").json() == {"user": None}
        client.cookies.set("chirp_session", session_id)
        assert client.get("/").json() == {"user": None}


def test_the_auth_program() -> None:
    """It signs in and out."""
    with TestClient(README.run("auth")["app"]) as client:
        assert client.get("/").json() == {"user": None}
        assert client.post("/login").json() == {"user": "Ada"}
        assert client.get("/").json() == {"user": "Ada"}
        client.post("/logout")
        assert client.get("/").json() == {"user": None}


def test_the_step_up_program() -> None:
    """A login is remembered if asked for, can be confirmed, and a change of password ends all sessions but its own."""
    app = README.run("step_up")["app"]
    with TestClient(app) as client, TestClient(app) as other:
        assert client.post("/password", content="new").status_code == 401
        assert "Max-Age=2592000" in client.post("/login?remember").headers["set-cookie"]
        assert "Max-Age" not in other.post("/login").headers["set-cookie"]
        assert client.post("/confirm", content="wrong").json() == {"confirmed": False}
        assert client.post("/confirm", content="horse").json() == {"confirmed": True}
        assert client.post("/password", content="battery").json() == {"changed": True}
        assert client.post("/confirm", content="battery").json() == {"confirmed": True}
        assert other.post("/confirm", content="battery").json() == {"confirmed": False}
