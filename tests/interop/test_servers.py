"""uvicorn, hypercorn and granian as processes, with what `chirp demo` serves."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import httpx2
import pytest
from demo_site import Page, Visitor
from process_kit import Ended, Processes, Serving, processes, until
from redis import Redis
from websockets.sync.client import connect

from chirp.demo.app import ITEMS

FACTORY = "chirp.demo.factory:app"


def command(server: str, loop: str, workers: int, port: int) -> list[str]:
    """Return how the demo is served, on a port that was free."""
    many = ["--workers", str(workers)]
    match server:
        case "uvicorn":
            options = ["--factory", "--port", str(port), "--loop", loop, "--log-level", "error", "--ws", "none"]
            return ["-m", "uvicorn", *options, *many, FACTORY]
        case "hypercorn":
            options = ["--bind", f"127.0.0.1:{port}", "--worker-class", loop, "--log-level", "error"]
            return ["-m", "hypercorn", *options, *many, f"{FACTORY}()"]
        case _:
            options = ["--interface", "asgi", "--factory", "--port", str(port), "--loop", loop, "--log-level", "error"]
            return ["-m", "granian", *options, *many, FACTORY]


EACH = pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian"])
EACH_LOOP = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@pytest.fixture
def running(redis_url: str, key_prefix: str) -> Iterator[Processes]:
    with processes(redis_url, key_prefix) as running:
        yield running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(
    running: Processes, redis_url: str, server: str, loop: str = "asyncio", workers: int = 1
) -> Iterator[Serving]:
    """Serve the demo until the block ends."""
    with serving_command(running, redis_url, lambda port: command(server, loop, workers, port)) as site:
        yield site


@contextmanager
def serving_command(running: Processes, redis_url: str, make: Callable[[int], list[str]]) -> Iterator[Serving]:
    """Run a server until the block ends."""
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-X", "dev", *make(port)],
        env={**running.environment, "CHIRP_REDIS_URL": f"{redis_url}?client_name={running.name}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            until(lambda: process.poll() is not None or listens(port))
            yield Serving(process, port)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            return client.get("/static/demo.css").is_success
    except httpx2.TransportError:
        return False


def forget(redis_url: str, cookies: list[str]) -> None:
    with Redis.from_url(redis_url, socket_timeout=10) as redis:
        for cookie in cookies:
            redis.delete("chirp:demo:" + hashlib.sha256(cookie.encode()).hexdigest())


def complaints(ended: Ended, port: int) -> list[str]:
    """Return lines that tell of something left open, or of an error."""
    # uvicorn, when it supervises others, leaves the socket that they accept from to the end of the interpreter.
    not_ours = (f"laddr=('127.0.0.1', {port})>", "Enable tracemalloc to get the object allocation traceback")
    words = ("Error", "error", "unclosed", "Unclosed", "ResourceWarning", "Traceback", "was destroyed", "never awaited")
    lines = [line for line in (ended.out + ended.err).splitlines() if not line.endswith(not_ours)]
    return [line for line in lines if any(word in line for word in words)]


def sign_in_and_out(site: Serving, redis_url: str) -> None:
    """Do with the demo what a person does."""
    with Visitor(f"http://127.0.0.1:{site.port}") as here:
        try:
            assert [Page(here.get("/").text).visits for _ in range(2)] == [1, 2]
            assert "Signed in as <b>Ada</b>" in here.post("/sign-in", data={"name": "Ada"}).text
            devices = here.get("/devices")
            assert (devices.status_code, devices.url.path) == (200, "/devices")
            here.post("/sign-out")
            assert "user_id" not in here.look().data
        finally:
            forget(redis_url, here.ids)


@EACH
@EACH_LOOP
def test_a_person_signs_in_looks_and_signs_out(running: Processes, redis_url: str, server: str, loop: str) -> None:
    """The demo works on each server and loop, and the server's end leaves nothing open and says nothing of errors."""
    with serving(running, redis_url, server, loop) as site:
        sign_in_and_out(site, redis_url)
        assert running.connections() >= 1
        ended = site.end()
    assert complaints(ended, site.port) == []
    assert ended.code in (0, -signal.SIGTERM)
    until(lambda: running.connections() == 0)


@EACH
def test_requests_to_several_workers_lose_nothing(running: Processes, redis_url: str, server: str) -> None:
    """Ten requests that hold one session at the same time, spread over two workers, each leave their item."""
    with serving(running, redis_url, server, workers=2) as site, Visitor(f"http://127.0.0.1:{site.port}") as here:
        here.get("/")

        def add(item: str) -> int:
            with httpx2.Client(base_url=here.base_url, cookies=dict(here.cookies), timeout=20) as client:
                return client.post("/cart", data={"item": item, "hold": "yes"}).status_code

        with ThreadPoolExecutor(len(ITEMS)) as browsers:
            assert set(browsers.map(add, ITEMS)) == {303}
        kept = {key for key in here.look().data if key.startswith("cart:")}
        forget(redis_url, here.ids)
        ended = site.end()
    assert kept == {f"cart:{item}" for item in ITEMS}
    assert complaints(ended, site.port) == []
    until(lambda: running.connections() == 0)


def test_hypercorn_reads_a_cookie_that_http2_splits(running: Processes, redis_url: str) -> None:
    """Over HTTP/2 a client may send each cookie in a header of its own: the session is found among them."""
    with serving(running, redis_url, "hypercorn") as site:
        client = httpx2.Client(http1=False, http2=True, base_url=f"http://127.0.0.1:{site.port}", timeout=10)
        with client:
            first = client.get("/")
            (cookie,) = [first.cookies["chirp_demo"]]
            client.cookies.clear()
            split = [("cookie", "a=1"), ("cookie", f"chirp_demo={cookie}"), ("cookie", "z=2")]
            second = client.get("/", headers=split)
            forget(redis_url, [cookie])
        ended = site.end()
    assert (second.http_version, Page(second.text).visits) == ("HTTP/2", 2)
    assert complaints(ended, site.port) == []


def socket_command(server: str, port: int) -> list[str]:
    """Return how an app with a WebSocket is served."""
    match server:
        case "uvicorn":
            return ["-m", "uvicorn", "--port", str(port), "--log-level", "error", "socket_site:app"]
        case "hypercorn":
            return ["-m", "hypercorn", "--bind", f"127.0.0.1:{port}", "--log-level", "error", "socket_site:app"]
        case _:
            options = ["--interface", "asgi", "--port", str(port), "--log-level", "error"]
            return ["-m", "granian", *options, "socket_site:app"]


def count_of(site: Serving, cookie: str) -> str | bytes:
    """Open a WebSocket with this cookie; return the count that it tells."""
    with connect(f"ws://127.0.0.1:{site.port}/", additional_headers={"Cookie": cookie}) as connection:
        return connection.recv(timeout=10)


@EACH
def test_a_websocket_has_the_session_that_http_began(running: Processes, redis_url: str, server: str) -> None:
    """What changes before it is accepted is stored."""
    with serving_command(running, redis_url, lambda port: socket_command(server, port)) as site:
        started = httpx2.get(f"http://127.0.0.1:{site.port}/", timeout=10)
        cookie = started.headers["set-cookie"].partition(";")[0]
        assert [count_of(site, cookie) for _ in range(2)] == ["1", "2"]
        ended = site.end()
    assert complaints(ended, site.port) == []
    until(lambda: running.connections() == 0)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])  # granian sends no headers with a handshake
def test_a_websocket_begins_a_session(running: Processes, redis_url: str, server: str) -> None:
    """The cookie comes with the handshake."""
    with serving_command(running, redis_url, lambda port: socket_command(server, port)) as site:
        with connect(f"ws://127.0.0.1:{site.port}/") as connection:
            assert connection.response is not None
            cookie = connection.response.headers["set-cookie"].partition(";")[0]
        assert count_of(site, cookie) == "2"
