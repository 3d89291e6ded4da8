"""Every order in which operations that run at the same time can take their steps, each tried on the real code.

An operation is a coroutine that waits for its turn before every step that others can see, such as a command to a
server. One step is under way at a time, so what the operations do depends on nothing but the order, and the orders can
be enumerated. The number of orders grows fast: two operations of three steps have 20, three of them 1,680.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from chirp.errors import ChirpError

STUCK_SECONDS = 20.0

Order: TypeAlias = tuple[int, ...]  # which operation took each step
Turn: TypeAlias = Callable[[], Awaitable[None]]  # awaited before each step
Operation: TypeAlias = Callable[[Turn], Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class Run:
    """One order, from beginning to end.

    Attributes:
        order: which operation took each step.
        results: of each operation: what it returned, or the exception that it raised.
    """

    order: Order
    results: Sequence[Any]

    def last_step(self, operation: int) -> int:
        """Return the position of an operation's last step, or -1 if it took none."""
        return max((position for position, each in enumerate(self.order) if each == operation), default=-1)


@dataclass
class Explored:
    """What came of all orders.

    Attributes:
        runs: how many orders there are.
        violations: what `check` found, each with the orders that show it.
    """

    runs: int = 0
    violations: dict[str, list[Order]] = field(default_factory=dict)


class _Scheduler:
    """Lets one operation at a time go on."""

    def __init__(self, operations: int) -> None:
        self._busy = set(range(operations))  # neither waiting for a turn nor done
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._idle = asyncio.Event()

    def turn_of(self, operation: int) -> Turn:
        async def turn() -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[operation] = future
            self.rest(operation)
            await future

        return turn

    def rest(self, operation: int, _: object = None) -> None:
        self._busy.discard(operation)
        if not self._busy:
            self._idle.set()

    async def waiting(self) -> list[int]:
        """Wait until every operation waits or is done; return those that wait."""
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                await self._idle.wait()
        except TimeoutError:
            raise ChirpError(
                f"operations {sorted(self._busy)} neither ended nor came to their next step within {STUCK_SECONDS:g} s"
            ) from None
        return sorted(self._waiting)

    def let_go(self, operation: int) -> None:
        self._busy.add(operation)
        self._idle.clear()
        self._waiting.pop(operation).set_result(None)


async def explore(
    prepare: Callable[[], Awaitable[Sequence[Operation]]], check: Callable[[Run], Awaitable[Iterable[str]]]
) -> Explored:
    """Run operations in every order of their steps.

    Args:
        prepare: puts everything back to the beginning, and returns the operations; called once for each order.
        check: returns what is wrong after an order has been run to its end.

    Raises:
        ChirpError: an operation got stuck, or took another way in the same order, so it depends on something else.
    """
    explored = Explored()
    pending: list[Order] = [()]
    while pending:
        beginning = pending.pop()
        run, choices = await _run(await prepare(), beginning)
        for position in range(len(beginning), len(run.order)):
            taken = run.order[position]
            pending += [(*run.order[:position], other) for other in choices[position] if other != taken]
        explored.runs += 1
        for violation in await check(run):
            explored.violations.setdefault(violation, []).append(run.order)
    return explored


async def _run(operations: Sequence[Operation], beginning: Order) -> tuple[Run, list[list[int]]]:
    """Run in an order that begins as told, then with whoever comes first; return also who could have had each turn."""
    scheduler = _Scheduler(len(operations))
    tasks = []
    for index, operation in enumerate(operations):
        task = asyncio.create_task(operation(scheduler.turn_of(index)))
        task.add_done_callback(partial(scheduler.rest, index))
        tasks.append(task)
    order: list[int] = []
    choices: list[list[int]] = []
    try:
        while waiting := await scheduler.waiting():
            chosen = beginning[len(order)] if len(order) < len(beginning) else waiting[0]
            if chosen not in waiting:
                break
            choices.append(waiting)
            order.append(chosen)
            scheduler.let_go(chosen)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    if len(order) < len(beginning):
        raise ChirpError(f"after {tuple(order)}, operation {beginning[len(order)]} has no step, and had one before")
    return Run(tuple(order), results), choices
