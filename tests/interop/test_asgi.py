"""An app without a framework has sessions as well."""

import pytest
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from chirp import ASGISessionMiddleware, SessionConfig


async def count_visits(scope: Scope, receive: Receive, send: Send) -> None:
    session = scope["session"]
    session["visits"] = session.get("visits", 0) + 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(session["visits"]).encode()})


def test_an_asgi_app_counts_visits() -> None:
    """`scope["session"]` is all that it needs."""
    config = SessionConfig("secret-of-the-tests-with-32-bytes")
    client = TestClient(ASGISessionMiddleware(count_visits, config))  # no lifespan: the app has none
    assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]


async def tuples_and_iterators(scope: Scope, receive: Receive, send: Send) -> None:
    scope["session"]["key"] = "kept"
    headers = iter([(b"x-first", b"1")]) if scope["path"] == "/iterator" else ((b"x-first", b"1"),)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("path", ["/tuple", "/iterator"])
def test_headers_may_be_any_iterable(path: str) -> None:
    """The cookie joins those that the app sends."""
    client = TestClient(ASGISessionMiddleware(tuples_and_iterators, SessionConfig("secret-of-the-tests-with-32-bytes")))
    response = client.get(path)
    assert (response.headers["x-first"], "set-cookie" in response.headers) == ("1", True)


def test_sessions_of_others_may_take_the_place_inside() -> None:
    """An app that is mounted with Starlette's sessions has those, and no error."""
    inner = SessionMiddleware(count_visits, "secret-of-the-tests-with-32-bytes")
    client = TestClient(ASGISessionMiddleware(inner, SessionConfig("secret-of-the-tests-with-32-bytes")))
    assert [client.get("/").text for _ in range(2)] == ["1", "2"]
    assert set(client.cookies) == {"session"}
