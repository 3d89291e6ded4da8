"""What carries the bytes: TLS, and another event loop than asyncio's own."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
import uvloop
from proxy import proxied
from redis.asyncio.cluster import RedisCluster
from visits import CONFIG, MakeStore, put, read, visit

from benchmarks.cluster import RunningCluster
from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.session import Session

LARGE = "ä" * 30_000  # several TLS records, and more than one read of the socket


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The proxy's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> str:
    """What a URL needs to trust the proxy's certificate."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return f"?ssl_ca_certs={path}"


async def live(store: RedisSessionStore) -> None:
    """Take sessions through loads, changes and ends, large ones and several at once."""
    cookies = await asyncio.gather(*(put(store, number=number, text=LARGE) for number in range(10)))
    await asyncio.gather(*(put(store, cookie, seen=True) for cookie in cookies))
    found = await asyncio.gather(*(read(store, cookie) for cookie in cookies))
    assert found == [{"number": number, "text": LARGE, "seen": True} for number in range(10)]
    await visit(store, cookies[0], Session.clear)
    assert await read(store, cookies[0]) == {}


async def test_sessions_over_tls(make_store: MakeStore, redis_url: str, tls: ssl.SSLContext, trusting: str) -> None:
    """A rediss:// URL, with a certificate that is checked."""
    async with proxied(redis_url, tls=tls) as proxy:
        store = make_store(proxy.url + trusting)
        await live(store)
        await store.aclose()


async def test_sessions_of_a_cluster_over_tls(
    make_store: MakeStore, redis_cluster: RunningCluster, tls: ssl.SSLContext, trusting: str
) -> None:
    """The client's certificates, and its way to other addresses, hold for the store's own connections as well."""
    async with AsyncExitStack() as stack:
        urls = [f"redis://127.0.0.1:{node.port}" for node in redis_cluster.nodes]
        proxies = [await stack.enter_async_context(proxied(url, tls=tls)) for url in urls]
        ports = {proxy.port: proxy.listens_on for proxy in proxies}

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            return address[0], ports.get(address[1], address[1])

        url = proxies[0].url + trusting
        store = make_store(client=lambda: RedisCluster.from_url(url, address_remap=remap))
        await live(store)
        await asyncio.gather(*(put(store, number=number) for number in range(60)))
        assert all(proxy.wires for proxy in proxies)
        await store.aclose()


async def test_a_certificate_that_nobody_vouches_for_is_an_outage(
    make_store: MakeStore, redis_url: str, tls: ssl.SSLContext
) -> None:
    """It is not trusted silently."""
    async with proxied(redis_url, tls=tls) as proxy:
        with pytest.raises(StoreUnavailable):
            await put(make_store(proxy.url), a=1)


async def test_a_tls_connection_that_ends_is_replaced(
    make_store: MakeStore, redis_url: str, tls: ssl.SSLContext, trusting: str
) -> None:
    """Whether it ends between two requests or while a load is under way."""
    async with proxied(redis_url, tls=tls) as proxy:
        store = make_store(proxy.url + trusting)
        cookie = await put(store, a=1)
        await proxy.stop()
        (held,) = store._nodes.get()._link._held
        async with asyncio.timeout(5):
            while held.ready:
                await asyncio.sleep(0)
        assert await read(store, cookie) == {"a": 1}
        proxy.lose_reply_to = b"MGET"
        assert await read(store, cookie) == {"a": 1}
        await store.aclose()


@contextmanager
def silent_after_a_while(url: str, tls: ssl.SSLContext) -> Iterator[tuple[int, threading.Event]]:
    """Serve one TLS connection; yield the port, and what to set so that the server hangs, the end of TLS included."""
    hangs = threading.Event()
    address = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as redis, ExitStack() as closing:

        def serve() -> None:
            encrypted = closing.enter_context(tls.wrap_socket(listening.accept()[0], server_side=True))
            while not hangs.is_set():
                redis.sendall(encrypted.recv(65536))
                encrypted.sendall(redis.recv(65536))

        redis.connect((address.hostname, address.port))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], hangs
        thread.join(5)


async def test_a_server_that_hangs_does_not_hold_up_the_end(
    make_store: MakeStore, redis_url: str, tls: ssl.SSLContext, trusting: str
) -> None:
    """TLS waits half a minute for the other side's good-bye, and so would the end of an app."""
    with silent_after_a_while(redis_url, tls) as (port, hangs):
        store = make_store(f"rediss://127.0.0.1:{port}{trusting}")
        cookie = await put(store, a=1)
        hangs.set()
        assert await read(store, cookie) == {"a": 1}  # the last that it answers
        async with asyncio.timeout(5):
            while not store._nodes.get()._link._held:
                await asyncio.sleep(0)
            await store.aclose()


def test_sessions_on_uvloop(redis_url: str, key_prefix: str) -> None:
    """Which uvicorn runs on where it is installed."""
    on_uvloop(live_at(redis_url, key_prefix))


def test_sessions_over_tls_on_uvloop(redis_url: str, key_prefix: str, tls: ssl.SSLContext, trusting: str) -> None:
    """Its TLS is its own as well."""

    async def through_a_proxy() -> None:
        async with proxied(redis_url, tls=tls) as proxy:
            await live_at(proxy.url + trusting, key_prefix)

    on_uvloop(through_a_proxy())


async def live_at(url: str, key_prefix: str) -> None:
    store = RedisSessionStore(CONFIG, url, key_prefix)
    try:
        await live(store)
    finally:
        await store.aclose()


def on_uvloop(work: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
