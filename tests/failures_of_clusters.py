"""What a cluster tells those who ask the wrong node, or any node while it is down; until the block ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from outage import ClusterPlace
from traffic import until


@asynccontextmanager
async def down(place: ClusterPlace) -> AsyncIterator[None]:
    """A slot has no node, so the cluster serves none of them."""
    (node,) = place.cluster.nodes
    node.command("CLUSTER", "DELSLOTS", 0)
    async with asyncio.timeout(10):
        await until(lambda: not node.serves())
    yield
    node.command("CLUSTER", "ADDSLOTS", 0)
    async with asyncio.timeout(10):
        await until(node.serves)


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
