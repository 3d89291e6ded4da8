"""The real store on a real server, in every order of the round trips of requests that meet at one session.

Each request is a process of its own, with its own store and connections. On one node the steps of an operation travel
in one `MULTI`; on a cluster each is a round trip of its own, so there are more orders, and fewer certainties.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from itertools import combinations
from typing import Any

import pytest
from race_rules import CONFIG, KINDS, NOW, PRESENTED, WORLDS, Done, expired, key_of, request, violations
from servers import OwnServer, program_on_path, running_cluster
from stepped import SteppedStore, World, at_once

from chirp.testing import ManualClock, Run, Turn, explore
from chirp.testing.interleavings import Operation

MOST_TOGETHER = 3
PAIRS = list(combinations(KINDS, 2))
# Of the triples those in which a third request changes what two of them know of each other. On a cluster some have tens
# of thousands of orders, so these are for one node alone.
TRIPLES = [
    ("save", "save2", "login"),
    ("save", "save2", "rotate"),
    ("save", "save2", "renew"),
    ("save", "save2", "clear"),
    ("save", "touch", "login"),
    ("save", "rotate", "login"),
    ("save", "rotate+save", "revoke"),
    ("save", "renew+save", "clear"),
    ("rotate", "rotate+save", "clear"),
    ("pop", "save", "rotate"),
    ("touch", "renew", "logout"),
    ("expire", "save", "rotate"),
]
TRIPLES_OF_ONE_NODE = [
    ("save", "renew", "rotate"),
    ("renew", "renew+save", "revoke"),
    ("renew", "renew+save", "login"),
    ("renew", "user change", "save"),
]


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


def operation(kind: str, store: SteppedStore, world: World) -> Operation:
    """Return one request of that kind, which takes its turns."""

    async def run(turn: Turn) -> Done:
        if kind == "expire":
            await turn()
            world.expire(key_of(PRESENTED))
            return expired()
        store.turn = turn
        return await request(kind, store, PRESENTED)

    return run


async def warm_up(stores: list[SteppedStore], world: World) -> None:
    """Every kind of request once, so that no order needs a connection, a topology or a script that others do not."""
    for store in stores:
        for kind in KINDS:
            world.reset(WORLDS["live"])
            await operation(kind, store, world)(at_once)


async def expect_to_hold(kinds: Iterable[str], start: str, stores: list[SteppedStore], world: World) -> None:
    """Let requests of these kinds meet in every order, each in a process of its own; the promises hold after each."""
    together = list(zip(kinds, stores, strict=False))

    async def prepare() -> list[Operation]:
        world.reset(WORLDS[start])
        for kind, store in together:
            clock: Any = store.clock
            clock.now = NOW + KINDS[kind].seconds
        return [operation(kind, store, world) for kind, store in together]

    async def check(run: Run) -> list[str]:
        return list(violations(run, world.values()))

    found = await explore(prepare, check)
    assert found.violations == {}
    assert found.runs > 1


@pytest.mark.parametrize("start", WORLDS)
@pytest.mark.parametrize("pair", PAIRS, ids=" | ".join)
async def test_a_pair_keeps_the_promises_in_every_order(
    pair: tuple[str, str], start: str, stores: list[SteppedStore], world: World
) -> None:
    """Promises 3 to 7, whichever request takes which step first."""
    await expect_to_hold(pair, start, stores, world)


@pytest.mark.parametrize("triple", TRIPLES, ids=" | ".join)
async def test_a_triple_keeps_the_promises_in_every_order(
    triple: tuple[str, str, str], stores: list[SteppedStore], world: World
) -> None:
    """A third request changes what two of them know of each other."""
    await expect_to_hold(triple, "live", stores, world)


@pytest.mark.parametrize("world", [False], ids=["node"], indirect=True)
@pytest.mark.parametrize("triple", TRIPLES_OF_ONE_NODE, ids=" | ".join)
async def test_a_triple_of_renewals_keeps_the_promises_in_every_order(
    triple: tuple[str, str, str], stores: list[SteppedStore], world: World
) -> None:
    """Where a session is moved more than once, and some follow."""
    await expect_to_hold(triple, "live", stores, world)
