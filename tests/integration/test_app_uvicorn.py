"""`App` under a real server on a loopback port."""

import socket
import threading
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import uvicorn
from starlette.responses import StreamingResponse

from chirp.app import App


def small_app(order: list[str]) -> App:
    app = App()
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
