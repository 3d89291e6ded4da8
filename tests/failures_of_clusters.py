"""What a cluster tells those who ask the wrong node, or any node while it is down; until the block ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outage import ClusterPlace


@asynccontextmanager
async def down(place: ClusterPlace) -> AsyncIterator[None]:
    """A slot has no node, so the cluster serves none of them."""
    (node,) = place.cluster.nodes
    node.command("CLUSTER", "DELSLOTS", 0)
    await _until_state(place, "fail")
    yield
    node.command("CLUSTER", "ADDSLOTS", 0)
    await _until_state(place, "ok")


async def _until_state(place: ClusterPlace, state: str) -> None:
    async with asyncio.timeout(10):
        while f"cluster_state:{state}" not in str(place.cluster.nodes[0].command("CLUSTER", "INFO")):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def moved(place: ClusterPlace) -> AsyncIterator[None]:
    """The slot of the sessions is another node's now."""
    place.cluster.move(place.keys[0])
    yield


@asynccontextmanager
async def moving(place: ClusterPlace) -> AsyncIterator[None]:
    """The sessions are on another node already, their slot is still on the way."""
    slot_key = place.keys[0]
    source, target = place.cluster.begin_to_move(slot_key)
    for key in place.keys:
        place.cluster.carry_over(key, source, target)
    yield
    place.cluster.finish_move(slot_key, source, target)
