"""What requests cost the server: commands as its MONITOR tells, round trips and connections as a proxy counts them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from monitor import Monitor, monitored
from proxy import Proxy, proxied
from visits import MakeStore, put, visit

from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.session import Session


class Cost(NamedTuple):
    """What was sent.

    Attributes:
        commands: those that name a key of the store's, in order, as words.
        round_trips: of them all.
        connections: opened for it.
    """

    commands: list[list[str]]
    round_trips: int
    connections: int

    @property
    def names(self) -> list[str]:
        return [command[0] for command in self.commands]


class CountedStore:
    """A store behind a proxy, on a server whose commands are listened to.

    Attributes:
        store: it has a connection, and the server knows its scripts.
        proxy: in front of it.
    """

    def __init__(self, store: RedisSessionStore, proxy: Proxy, monitor: Monitor) -> None:
        self.store = store
        self.proxy = proxy
        self._monitor = monitor

    async def cost(self, *requests: Awaitable[Any]) -> Cost:
        """Make the requests, all in the same turn of the loop, and return what they cost together."""
        await self._monitor.commands()
        round_trips, connections = self.proxy.round_trips, len(self.proxy.wires)
        await asyncio.gather(*requests)
        commands = await self._monitor.commands()
        return Cost(commands, self.proxy.round_trips - round_trips, len(self.proxy.wires) - connections)


@asynccontextmanager
async def counted_store(make_store: MakeStore, url: str, prefix: str, **options: Any) -> AsyncIterator[CountedStore]:
    """Make a store on the server at `url`, whose key prefix is `prefix`, and count what it sends."""
    async with proxied(url) as proxy, monitored(url, prefix) as monitor:
        store = make_store(proxy.url, **options)
        await put(store, await put(store, warm=1), warm=2)
        await visit(store, await put(store, warm=1, user_id=1), Session.clear)
        yield CountedStore(store, proxy, monitor)
        await store.aclose()
