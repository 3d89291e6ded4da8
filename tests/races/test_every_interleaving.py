"""The real store on a real server, in every order of the round trips of requests that meet at one session.

Each request is a process of its own, with its own store and connections. On one node the steps of an operation travel
in one `MULTI`; on a cluster each is a round trip of its own, so there are more orders, and fewer certainties.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest
from race_rules import KINDS, NOW, WORLDS, operation, violations
from stepped import SteppedStore, World

from chirp.testing import Run, explore
from chirp.testing.interleavings import Operation

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
    ("remember", "touch+save", "rotate"),
]
TRIPLES_OF_ONE_NODE = [
    ("save", "renew", "rotate"),
    ("renew", "renew+save", "revoke"),
    ("renew", "renew+save", "login"),
    ("renew", "user change", "save"),
]


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
