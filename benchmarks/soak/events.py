"""What is done to the servers, by name. Each event says when the servers could serve again, and ends in order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis

from benchmarks.cluster import RunningCluster
from benchmarks.nodes import Node
from benchmarks.own_server import OwnServer
from benchmarks.sentinel import Watched
from benchmarks.soak.cable import Cable

Mended = Callable[[], None]
Event = Callable[[float, Mended], Awaitable[None]]  # told for how long, and whom to tell that the servers can serve

SLOTS_MOVED = 40
# A replica that takes over without its primary's help, or before that one has stopped, may lack what was acknowledged.
MAY_LOSE = (
    "kill the primary",
    "planned failover",
    "planned failover, writes need a replica",
    "freeze the primary",
    "kill the primary and a sentinel",
    "kill a primary",
    "freeze a primary",
)


@dataclass(frozen=True)
class Single:
    """One node that writes to disk before it answers, and the cable to it."""

    server: OwnServer
    cable: Cable

    def events(self) -> Mapping[str, Event]:
        return {
            "kill": self._kill,
            "freeze": self._freeze,
            "cut": self._cut,
            "reset": self._reset,
            "fill": self._fill,
        }

    async def _kill(self, hold: float, mended: Mended) -> None:
        """SIGKILL; started again with its data."""
        await asyncio.to_thread(self.server.kill)
        await asyncio.sleep(hold)
        await asyncio.to_thread(self.server.start)
        mended()

    async def _freeze(self, hold: float, mended: Mended) -> None:
        """SIGSTOP, then SIGCONT."""
        self.server.freeze()
        await asyncio.sleep(hold)
        self.server.thaw()
        mended()

    async def _cut(self, hold: float, mended: Mended) -> None:
        self.cable.cut()
        await asyncio.sleep(hold)
        self.cable.join()
        mended()

    async def _reset(self, _hold: float, mended: Mended) -> None:
        self.cable.reset()
        mended()

    async def _fill(self, hold: float, mended: Mended) -> None:
        """Leave no memory to write with."""
        async with Redis.from_url(self.server.url) as client:
            await client.config_set("maxmemory", 1)
            await asyncio.sleep(hold)
            await client.config_set("maxmemory", 0)
        mended()


@dataclass(frozen=True)
class Failing:
    """A primary, its replica and sentinels."""

    group: Watched

    def events(self) -> Mapping[str, Event]:
        return {
            "kill the primary": self._kill,
            "planned failover": self._planned,
            "planned failover, writes need a replica": self._guarded,
            "freeze the primary": self._freeze,
            "kill the primary and a sentinel": partial(self._kill, sentinels=1),
        }

    async def _kill(self, hold: float, mended: Mended, sentinels: int = 0) -> None:
        """SIGKILL; the old primary comes back as a replica."""
        old = self.group.primary()
        lost = (*self.group.sentinels[:sentinels], old)
        for each in lost:
            await asyncio.to_thread(each.kill)
        await asyncio.to_thread(self.group.promoted, old)
        mended()
        await asyncio.sleep(hold)
        await asyncio.to_thread(self.group.restart, *lost)

    async def _planned(self, _hold: float, mended: Mended) -> None:
        await asyncio.to_thread(self.group.fail_over)
        mended()
        await asyncio.to_thread(self.group.settled)

    async def _guarded(self, hold: float, mended: Mended) -> None:
        """The same, with a primary that takes no write once its replica has left it."""
        try:
            await self._need_replicas(1)
            await self._planned(hold, mended)
        finally:
            await self._need_replicas(0)

    async def _need_replicas(self, least: int) -> None:
        for server in self.group.servers:
            async with Redis.from_url(server.url) as client:
                await client.config_set("min-replicas-to-write", least, "min-replicas-max-lag", 1)

    async def _freeze(self, hold: float, mended: Mended) -> None:
        """SIGSTOP for long enough to be replaced; thawed, it still takes itself for the primary."""
        old = self.group.primary()
        old.freeze()
        await asyncio.to_thread(self.group.promoted, old)
        mended()
        await asyncio.sleep(hold)
        old.thaw()
        await asyncio.to_thread(self.group.settled)


@dataclass(frozen=True)
class Clustered:
    """Three primaries with a replica each."""

    cluster: RunningCluster

    def events(self) -> Mapping[str, Event]:
        return {
            "kill a primary": partial(self._lose, Node.kill),
            "freeze a primary": partial(self._lose, Node.freeze),
            "hand over to a replica": self._planned,
            "move slots": self._move,
        }

    async def _lose(self, lose: Callable[[Node], None], hold: float, mended: Mended) -> None:
        """Kill it, or freeze it for long enough to be replaced; it comes back as a replica."""
        old = self.cluster.primaries()[0]
        await asyncio.to_thread(lose, old)
        await asyncio.to_thread(self.cluster.wait_until_replaced, old)
        mended()
        await asyncio.sleep(hold)
        await asyncio.to_thread(self.cluster.heal)

    async def _planned(self, _hold: float, mended: Mended) -> None:
        await asyncio.to_thread(self.cluster.hand_over, self.cluster.primaries()[0])
        mended()
        await asyncio.to_thread(self.cluster.heal)

    async def _move(self, _hold: float, mended: Mended) -> None:
        """Move slots with keys in them to another primary, while both serve."""
        await asyncio.to_thread(self.cluster.move_some, SLOTS_MOVED)
        mended()
