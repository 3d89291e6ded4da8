"""Failures between the stores and a real server, caused by the proxy in front of it until the block ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from outage import ServerPlace


@asynccontextmanager
async def meddling(place: ServerPlace, attribute: str, value: object) -> AsyncIterator[None]:
    """Each proxy has this value, and afterwards the one that it had before."""
    before = [getattr(proxy, attribute) for proxy in place.proxies]
    for proxy in place.proxies:
        setattr(proxy, attribute, value)
    yield
    for proxy, was in zip(place.proxies, before, strict=True):
        setattr(proxy, attribute, was)


def slow(place: ServerPlace) -> AbstractAsyncContextManager[None]:
    """Each half of a reply takes its time, in all less than the deadline."""
    return meddling(place, "delay", lambda: 0.02)


def too_slow(place: ServerPlace) -> AbstractAsyncContextManager[None]:
    """Replies come after the deadline."""
    return meddling(place, "delay", lambda: 1.0)


@asynccontextmanager
async def replies_held(place: ServerPlace) -> AsyncIterator[None]:
    """Half-open: requests arrive, and of the replies nothing is ever seen, nor an end of the connection."""
    async with meddling(place, "accept_open", False):
        for proxy in place.proxies:
            for wire in proxy.wires:
                wire.open.clear()
        yield


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


def cut_in_mid_reply(place: ServerPlace) -> AbstractAsyncContextManager[None]:
    return meddling(place, "halve_replies", True)


@asynccontextmanager
async def reply_lost(place: ServerPlace) -> AsyncIterator[None]:
    """The next thing that each store sends is carried out; the reply to it never comes, but the connection's end."""
    for proxy in place.proxies:
        proxy.lose_reply_to = b"*"  # with which every command begins
    yield


def says(error: bytes) -> Callable[[ServerPlace], AbstractAsyncContextManager[None]]:
    """Return what has every command answered with an error, for those that no server can be brought to."""

    return partial(meddling, attribute="error", value=error)
