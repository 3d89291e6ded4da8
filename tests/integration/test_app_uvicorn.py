"""`App` under a real server on a loopback port."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.responses import StreamingResponse

from chirp.app import App
from chirp.middleware.sessions import MemorySessionStore, SessionConfig, SessionMiddleware, get_session


def small_app(order: list[str]) -> App:
    app = App()
    config = SessionConfig("for tests alone, and long enough", record_client=True, touch_interval_seconds=0)
    app.add_middleware(SessionMiddleware(replace(config, store=MemorySessionStore(config))))
    app.on_startup(lambda: order.append("started"))
    app.on_shutdown(lambda: order.append("stopped"))

    @app.route("/hello/{name}")
    async def hello(name: str) -> str:
        return f"hello {name}"

    @app.route("/stream")
    def stream() -> StreamingResponse:
        async def steps() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        return StreamingResponse(steps())

    @app.route("/visit")
    async def visit() -> dict[str, Any]:
        session = get_session()
        session["visits"] = session.get("visits", 0) + 1
        return {**session, "client": [session.user_agent, session.address]}

    @app.route("/month")
    def month() -> str:
        get_session().set_lifetime(30 * 86400)
        return ""

    @app.route("/browser")
    def browser() -> str:
        get_session().set_lifetime(persistent=False)
        return ""

    return app


@pytest.fixture
def order() -> list[str]:
    return []


@pytest.fixture
def client(order: list[str]) -> Iterator[httpx2.Client]:
    """A client of a server that runs in a thread on a port the system chose."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # a client that comes before the server is ready waits in the backlog
        server = uvicorn.Server(uvicorn.Config(small_app(order), log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=10) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(timeout=10)
    assert not thread.is_alive()
    assert order == ["started", "stopped"]


def test_it_serves_between_startup_and_shutdown(client: httpx2.Client, order: list[str]) -> None:
    """A request is answered after the startup hook and before the shutdown hook, which the fixture sees."""
    assert (client.get("/hello/you").text, order) == ("hello you", ["started"])


def test_a_stream_arrives_in_chunks(client: httpx2.Client) -> None:
    """A body of unknown length is sent chunked and whole."""
    response = client.get("/stream")
    assert (response.headers["transfer-encoding"], response.text) == ("chunked", "ab")


def test_the_cookie_that_a_browser_gets_has_the_sessions_lifetime(client: httpx2.Client) -> None:
    """When it is set, when it is changed, and when it slides."""
    set_by = [client.get(path).headers["set-cookie"] for path in ("/visit", "/month", "/visit", "/browser", "/visit")]
    max_ages = [dict(part.partition("=")[::2] for part in header.split("; ")).get("Max-Age") for header in set_by]
    assert max_ages == ["86400", "2592000", "2592000", None, None]
    assert client.get("/visit").json()["visits"] == 4


def test_a_server_tells_the_client_and_its_address(client: httpx2.Client) -> None:
    """What is stored is what came over the wire; a request sees what those before it have left."""
    client.get("/visit", headers={"User-Agent": "One/1.0"})
    second = client.get("/visit", headers={"User-Agent": "Two/2.0"})
    assert second.json()["client"] == ["One/1.0", "127.0.0.1"]
    assert client.get("/visit").json()["client"] == ["Two/2.0", "127.0.0.1"]
