"""A server on which every round trip waits for its turn, alone and as a cluster, and a store for each request."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest
from race_rules import CONFIG, KINDS, NOW, WORLDS, operation
from servers import OwnServer, program_on_path, running_cluster
from stepped import SteppedStore, World, at_once

from chirp.testing import ManualClock

MOST_TOGETHER = 3


@pytest.fixture(scope="module", params=[False, True], ids=["node", "cluster"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    in_cluster: bool = request.param
    with ExitStack() as running:
        if in_cluster:
            url = f"redis://127.0.0.1:{running.enter_context(running_cluster(1)).nodes[0].port}"
        else:
            url = running.enter_context(OwnServer(binary=program_on_path())).url
        world = World(url, in_cluster=in_cluster)
        running.callback(world.close)
        yield world


@pytest.fixture(scope="module")
async def stores(world: World) -> AsyncIterator[list[SteppedStore]]:
    """A store for each request, connected, and with the scripts known to the server."""
    async with AsyncExitStack() as closing:
        made = []
        for _ in range(MOST_TOGETHER):
            store = world.make_store(CONFIG, clock=ManualClock(NOW), timeout_seconds=30)
            closing.push_async_callback(store.aclose)
            made.append(store)
        await warm_up(made, world)
        yield made


async def warm_up(stores: list[SteppedStore], world: World) -> None:
    """Every kind of request once, so that no order needs a connection, a topology or a script that others do not."""
    for store in stores:
        for kind in KINDS:
            world.reset(WORLDS["live"])
            await operation(kind, store, world)(at_once)
