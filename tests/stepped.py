"""Stores on a real server whose every round trip waits for its turn, and what stands on that server."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis
from redis.asyncio.cluster import RedisCluster

from chirp.middleware.sessions import RedisSessionStore, SessionConfig
from chirp.middleware.sessions.redis_node import RedisNode
from chirp.testing import Turn

PREFIX = "races:"
HOUR_MS = 3_600_000
# As the server does when the time of KEYS[1] is over: a document goes, a tombstone stays.
EXPIRE = "if string.sub(redis.call('GET', KEYS[1]) or '', 1, 1) == '{' then redis.call('DEL', KEYS[1]) end return 0"


async def at_once() -> None:
    """No turn to wait for."""


class SteppedLink:
    """The connections of a node; an exchange of commands is one step."""

    def __init__(self, link: Any, store: "SteppedStore") -> None:
        self._link = link
        self._store = store

    async def exchange(self, commands: Sequence[Any], read: Any) -> Any:
        if self._store.counts(commands):
            await self._store.turn()
        return await self._link.exchange(commands, read)

    async def aclose(self) -> None:
        await self._link.aclose()


class SteppedStore(RedisSessionStore):
    """A store of one operation, as a process of its own has it.

    Attributes:
        turn: awaited before each step.
        indexed: a round trip for a user's index alone is a step as well. Where nobody asks for the sessions of a user,
            it changes nothing for anybody, and would only multiply the orders.
    """

    turn: Turn = staticmethod(at_once)
    indexed = False

    def counts(self, commands: Sequence[Any]) -> bool:
        """Tell whether an exchange of commands is a step of an operation; to ask for the topology is none."""
        if commands[0][0] == "CLUSTER":
            return False
        return self.indexed or not all(f"{PREFIX}user:" in str(command) for command in commands)

    def _make_nodes(self) -> Any:
        nodes: Any = super()._make_nodes()
        if isinstance(nodes, RedisNode):
            nodes._link = SteppedLink(nodes._link, self)
            return nodes
        topology = nodes._topology
        primary_at = topology.primary_at

        def stepped(address: Any) -> Any:
            primary = primary_at(address)
            for lanes in (primary.node, primary.asking):
                if not isinstance(lanes._link, SteppedLink):
                    lanes._link = SteppedLink(lanes._link, self)
            return primary

        topology.primary_at = stepped
        return nodes


class World:
    """What stands on one server.

    Args:
        url: of a server that nobody else uses.
        in_cluster: it is a cluster of one node. Each step is a round trip of its own then, as on a larger one, while
            on a server outside of a cluster the steps of an operation travel together.
    """

    def __init__(self, url: str, *, in_cluster: bool) -> None:
        self._url = url
        self._in_cluster = in_cluster
        self._redis = Redis.from_url(url)

    def make_store(self, config: SessionConfig, **options: Any) -> SteppedStore:
        if self._in_cluster:
            return SteppedStore(config, key_prefix=PREFIX, client=lambda: RedisCluster.from_url(self._url), **options)
        return SteppedStore(config, self._url, PREFIX, **options)

    def reset(self, values: Mapping[str, bytes]) -> None:
        """Remove everything, and put these there."""
        commands = self._redis.pipeline(transaction=False)
        commands.flushall()
        for key, value in values.items():
            commands.set(key, value, px=HOUR_MS)
        commands.execute()

    def values(self) -> dict[str, bytes]:
        """Return what stands under the keys of sessions."""
        keys = self._redis.keys(f"{PREFIX}{'?' * 64}")
        commands = self._redis.pipeline(transaction=False)
        for key in keys:
            commands.get(key)
        return dict(zip((key.decode() for key in keys), commands.execute(), strict=True))

    def enlist(self, key: str, member: str, until: float) -> None:
        """Put a member into an index."""
        self._redis.zadd(key, {member: until})

    def indexes(self) -> dict[str, set[bytes]]:
        """Return the members of every user's index."""
        return {key.decode(): set(self._redis.zrange(key, 0, -1)) for key in self._redis.keys(f"{PREFIX}user:*")}

    def expire(self, key: str) -> None:
        self._redis.eval(EXPIRE, 1, key)

    def close(self) -> None:
        self._redis.close()
