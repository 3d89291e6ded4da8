"""The server of the run: asked for its version and its connections, and left without the benchmark's keys."""

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
    """Watches the server through a connection of its own, which it does not count.

    Entered before there are contenders: whatever is connected then is none of theirs. Nobody else may come or go.

    Raises:
        ConfigurationError: not a URL that redis-py knows.
    """

    def __init__(self, redis_url: str) -> None:
        try:
            self._client = Redis.from_url(redis_url)
        except ValueError:  # its words may repeat the password
            raise ConfigurationError("--redis: must be a URL such as redis://localhost:6379/0") from None
        self._others = 0

    async def __aenter__(self) -> Self:
        self._others = await self._connected()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.aclose()

    async def version(self) -> str:
        """Return name and version, as the server states them."""
        return name_and_version(await self._client.info("server"))

    async def opened(self) -> int:
        """Return how many connections the server has had since it started."""
        return int((await self._client.info("stats"))["total_connections_received"])

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
        async for key in self._client.scan_iter(match=f"{key_prefix}*", count=1000):
            await self._client.delete(key)

    async def _connected(self) -> int:
        return int((await self._client.info("clients"))["connected_clients"])
