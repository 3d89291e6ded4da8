"""The servers of a run: asked for their version and connections, and left without the benchmark's keys."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from chirp.embedded import name_and_version
from chirp.errors import ConfigurationError

SAMPLE_SECONDS = 0.002


@dataclass(slots=True)
class Connections:
    """Connections of one contender to the server.

    Attributes:
        most: open at the same time, as far as a sample every 2 ms or so shows it.
        opened: opened one after the other, from the warm-up to the end of the measurement.
    """

    most: int = 0
    opened: int = 0


class Watcher:
    """Watches servers through a connection of its own to each, which it does not count.

    Entered before there are contenders: whatever is connected then is none of theirs. Nobody else may come or go.

    Args:
        redis_urls: of one server, or of all nodes of a cluster; what is counted is their sum.

    Raises:
        ConfigurationError: not a URL that redis-py knows.
    """

    def __init__(self, *redis_urls: str) -> None:
        try:
            self._clients = [Redis.from_url(url) for url in redis_urls]
        except ValueError:  # its words may repeat the password
            raise ConfigurationError("--redis: must be a URL such as redis://localhost:6379/0") from None
        self._others = 0

    async def __aenter__(self) -> Self:
        self._others = await self._connected()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for client in self._clients:
            await client.aclose()

    async def version(self) -> str:
        """Return name and version, as the first server states them."""
        return name_and_version(await self._clients[0].info("server"))

    async def opened(self) -> int:
        """Return how many connections the servers have had since they started."""
        return await self._sum("stats", "total_connections_received")

    @contextlib.asynccontextmanager
    async def sampling(self) -> AsyncIterator[Connections]:
        """Find the most connections while the block runs; asking costs CPU, so never while anything is timed."""
        found = Connections()
        over = asyncio.Event()

        async def sample() -> None:
            while not over.is_set():
                found.most = max(found.most, await self._connected() - self._others)
                await asyncio.sleep(SAMPLE_SECONDS)

        sampling = asyncio.create_task(sample())
        try:
            yield found
        finally:
            over.set()
            await sampling
        found.most = max(found.most, await self._connected() - self._others)

    async def delete_keys(self, key_prefix: str) -> None:
        """Delete every key that starts with the prefix."""
        for client in self._clients:
            async with client.pipeline(transaction=False) as commands:
                async for key in client.scan_iter(match=f"{key_prefix}*", count=1000):
                    commands.delete(key)
                await commands.execute()

    async def _connected(self) -> int:
        return await self._sum("clients", "connected_clients")

    async def _sum(self, section: str, fact: str) -> int:
        return sum([int((await client.info(section))[fact]) for client in self._clients])
