"""Failures between the stores and a real server, caused by the proxy in front of it until the block ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from outage import ServerPlace


@asynccontextmanager
async def slow(place: ServerPlace) -> AsyncIterator[None]:
    """Each half of a reply takes its time, in all less than the deadline."""
    for proxy in place.proxies:
        proxy.delay = lambda: 0.02
    yield
    for proxy in place.proxies:
        proxy.delay = None


@asynccontextmanager
async def too_slow(place: ServerPlace) -> AsyncIterator[None]:
    """Replies come after the deadline."""
    for proxy in place.proxies:
        proxy.delay = lambda: 1.0
    yield
    for proxy in place.proxies:
        proxy.delay = None


@asynccontextmanager
async def replies_held(place: ServerPlace) -> AsyncIterator[None]:
    """Half-open: requests arrive, and of the replies nothing is ever seen, nor an end of the connection."""
    for proxy in place.proxies:
        proxy.accept_open = False
        for wire in proxy.wires:
            wire.open.clear()
    yield
    for proxy in place.proxies:
        proxy.accept_open = True


@asynccontextmanager
async def away(place: ServerPlace) -> AsyncIterator[None]:
    """Half-open: nothing arrives anywhere; connections that were there stay lost when the network is back."""
    for proxy in place.proxies:
        proxy.lose_network()
    yield
    for proxy in place.proxies:
        proxy.accept_lost = False


@asynccontextmanager
async def was_away(place: ServerPlace) -> AsyncIterator[None]:
    """The network went away and came back while the connections were idle: they are lost, and nobody was told."""
    async with away(place):
        pass
    yield


@asynccontextmanager
async def cut_in_mid_reply(place: ServerPlace) -> AsyncIterator[None]:
    for proxy in place.proxies:
        proxy.halve_replies = True
    yield
    for proxy in place.proxies:
        proxy.halve_replies = False


@asynccontextmanager
async def reply_lost(place: ServerPlace) -> AsyncIterator[None]:
    """The next thing that each store sends is carried out; the reply to it never comes, but the connection's end."""
    for proxy in place.proxies:
        proxy.lose_reply_to = b"*"  # with which every command begins
    yield


def says(error: bytes) -> Callable[[ServerPlace], AbstractAsyncContextManager[None]]:
    """Return what has every command answered with an error, for those that no server can be brought to."""

    @asynccontextmanager
    async def say(place: ServerPlace) -> AsyncIterator[None]:
        for proxy in place.proxies:
            proxy.error = error
        yield
        for proxy in place.proxies:
            proxy.error = None

    return say
