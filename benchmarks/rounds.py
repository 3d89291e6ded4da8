"""Contenders take turns: round by round, case by case, each right after the other."""

import gc
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass

from benchmarks.contenders.contender import Contender, check_work, expect
from benchmarks.measure import Figures, measure
from benchmarks.processors import one_processor
from benchmarks.scenario import Case, Plan, Scenario
from benchmarks.server import Connections, Watcher

CHECKED_SESSIONS = 3  # in full before each measurement; afterwards every task's last result is


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one contender did in one turn.

    Attributes:
        round: from 1.
        case: which one.
        contender: its name.
        connections: how many it had.
        figures: by action.
    """

    round: int
    case: Case
    contender: str
    connections: Connections
    figures: dict[str, Figures]


async def run_scenario(
    scenario: Scenario, plan: Plan, servers: Mapping[int, Sequence[str]], advance: Callable[[], None]
) -> list[Measurement]:
    """Run all rounds of a scenario.

    Args:
        scenario: whose contenders are measured.
        plan: how much.
        servers: URLs by the number of nodes, for each that a case has; a contender is given the first one.
        advance: is called after each turn; there are `plan.turns(scenario)` in all.

    Raises:
        WrongSessionError: a contender did not do the work that is measured.
    """
    key_prefix = f"chirp-benchmark:{secrets.token_hex(8)}:"
    measurements = []
    async with AsyncExitStack() as stack:
        watchers = {nodes: await stack.enter_async_context(Watcher(*urls)) for nodes, urls in servers.items()}
        for watcher in watchers.values():
            stack.push_async_callback(watcher.delete_keys, key_prefix)
        stack.callback(gc.unfreeze)
        for number, case, kind in _turns(scenario, plan):
            gc.collect()
            gc.freeze()  # else whoever has requests in flight pays for looking through what its peers have left
            processors = one_processor() if case.tasks == 1 else nullcontext()
            contender = kind(servers[case.nodes][0], f"{key_prefix}{kind.name}:", case.payload_bytes)
            try:
                with processors:
                    measurement = await _take_turn(contender, plan, number, case, watchers[case.nodes])
            finally:
                await contender.close()
            if number > 0:
                measurements.append(measurement)
            advance()
    return measurements


def _turns(scenario: Scenario, plan: Plan) -> Iterator[tuple[int, Case, type[Contender]]]:
    """Give each turn's round (0 does not count), case and contender."""
    for number in range(plan.rounds + 1):
        for case in plan.cases:
            first = number % len(scenario.contenders)  # nobody always follows the same one
            for kind in (*scenario.contenders[first:], *scenario.contenders[:first]):
                yield number, case, kind


async def _take_turn(contender: Contender, plan: Plan, number: int, case: Case, watcher: Watcher) -> Measurement:
    tasks, times = case.tasks, plan.times(contender, case.tasks)
    await contender.begin(CHECKED_SESSIONS)
    await check_work(contender, range(CHECKED_SESSIONS))
    await contender.begin(tasks)
    before = await watcher.opened()
    async with watcher.sampling() as connections:
        _, last = await measure(contender.change, tasks, 1)  # not counted: a pool opens its connections
    _expect_all(contender, "change", last, 1)
    figures = {}
    figures["change"], last = await measure(contender.change, tasks, times)
    _expect_all(contender, "change", last, 1 + times)
    figures["read"], last = await measure(contender.read, tasks, times)
    _expect_all(contender, "read", last, 1 + times)
    connections.opened = await watcher.opened() - before
    for task in range(min(tasks, CHECKED_SESSIONS)):
        expect(contender, "the session afterwards", await contender.show(task), contender.session(task, 1 + times))
    return Measurement(number, case, contender.name, connections, figures)


def _expect_all(contender: Contender, action: str, last: Sequence[object], changes: int) -> None:
    for task, found in enumerate(last):
        expect(contender, f"{action} by task {task}", found, contender.seen(contender.session(task, changes)))
