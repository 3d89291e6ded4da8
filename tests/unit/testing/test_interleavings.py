"""Every order of steps is tried once, and what it finds is told."""

import asyncio
from collections.abc import Sequence
from math import comb
from typing import Any

import pytest

from chirp.errors import ChirpError
from chirp.testing import Run, Turn, explore, interleavings


class Counter:
    """A value that operations read and write in two steps."""

    def __init__(self) -> None:
        self.value = 0
        self.seen: list[tuple[int, ...]] = []

    async def increment(self, turn: Turn) -> int:
        await turn()
        read = self.value
        await turn()
        self.value = read + 1
        return read

    async def prepare(self) -> Sequence[Any]:
        self.value = 0
        return [self.increment, self.increment]

    async def check(self, run: Run) -> list[str]:
        self.seen.append(run.order)
        return [] if self.value == 2 else ["an increment was lost"]


async def test_every_order_is_run_once() -> None:
    """Two operations of two steps have six."""
    counter = Counter()
    found = await explore(counter.prepare, counter.check)
    assert found.runs == comb(4, 2)
    assert len(set(counter.seen)) == len(counter.seen) == found.runs


async def test_a_lost_update_is_found_with_the_orders_that_show_it() -> None:
    """Only where one reads before the other has written."""
    counter = Counter()
    found = await explore(counter.prepare, counter.check)
    assert found.violations.keys() == {"an increment was lost"}
    assert set(found.violations["an increment was lost"]) == {(0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0)}


async def test_operations_whose_steps_depend_on_each_other_are_explored() -> None:
    """How many steps one takes may depend on what another has done before."""
    left: list[int] = []

    async def writer(turn: Turn) -> None:
        await turn()
        left.append(1)

    async def reader(turn: Turn) -> int:
        await turn()
        if left:
            await turn()
        return len(left)

    async def prepare() -> Sequence[Any]:
        left.clear()
        return [writer, reader]

    orders = set()

    async def check(run: Run) -> list[str]:
        orders.add(run.order)
        return []

    await explore(prepare, check)
    assert orders == {(0, 1, 1), (1, 0)}


async def test_results_and_last_steps_are_told() -> None:
    """Of each operation; an exception is a result like any other."""

    async def fails(turn: Turn) -> None:
        await turn()
        raise ZeroDivisionError

    async def rests(turn: Turn) -> str:
        return "done"

    async def prepare() -> Sequence[Any]:
        return [fails, rests]

    async def check(run: Run) -> list[str]:
        return [f"{type(run.results[0]).__name__} {run.results[1]} {run.last_step(0)} {run.last_step(1)}"]

    found = await explore(prepare, check)
    assert list(found.violations) == ["ZeroDivisionError done 0 -1"]


async def test_steps_in_tasks_of_an_operation_count_as_its_own() -> None:
    """As when a batch is sent by a task that several requests share."""

    async def outer(turn: Turn) -> None:
        await asyncio.create_task(inner(turn))

    async def inner(turn: Turn) -> None:
        await turn()

    async def prepare() -> Sequence[Any]:
        return [outer, outer]

    async def check(run: Run) -> list[str]:
        return []

    assert (await explore(prepare, check)).runs == 2


async def test_an_operation_that_is_stuck_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for something that no step of another one brings."""
    monkeypatch.setattr(interleavings, "STUCK_SECONDS", 0.01)

    async def stuck(turn: Turn) -> None:
        await asyncio.Event().wait()

    async def prepare() -> Sequence[Any]:
        return [stuck]

    async def check(run: Run) -> list[str]:
        return []

    with pytest.raises(ChirpError, match=r"operations \[0\] neither ended"):
        await explore(prepare, check)


@pytest.mark.parametrize("left", [0, 1])
async def test_operations_that_depend_on_more_than_the_order_are_told(left: int) -> None:
    """What they do the second time must be what they did the first time."""
    rounds: list[int] = []

    async def fickle(turn: Turn) -> None:
        for _ in range(left if len(rounds) > 1 else 3):
            await turn()

    async def steady(turn: Turn) -> None:
        await turn()

    async def prepare() -> Sequence[Any]:
        rounds.append(1)
        return [fickle, steady]

    async def check(run: Run) -> list[str]:
        return []

    with pytest.raises(ChirpError, match=r"operation [01] has no step, and had one before"):
        await explore(prepare, check)
