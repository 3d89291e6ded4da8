"""Contenders take turns: round by round, number of tasks by number of tasks, each right after the other."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.contenders.contender import Contender, check_work, expect
from benchmarks.measure import Figures, measure
from benchmarks.scenarios.scenario import Scenario
from benchmarks.server import Connections, Watcher
from benchmarks.sessions import session_after

CHECKED_SESSIONS = 3  # in full before each measurement; afterwards every task's last result is


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        rounds: that count; one more goes before them and does not.
        tasks: at once, each number in turn.
        operations: of one measurement; a contender may have a lower bound, and each task takes at least one.
    """

    rounds: int = 7
    tasks: Sequence[int] = (1, 5, 20, 100, 500)
    operations: int = 4000

    def times(self, contender: Contender, tasks: int) -> int:
        """Return how often each task takes an action."""
        most = min(self.operations, contender.most_operations or self.operations)
        return max(1, most // tasks)


SMOKE = Settings(rounds=1, tasks=(1, 5), operations=40)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one contender did in one turn.

    Attributes:
        round: from 1.
        tasks: at once.
        contender: its name.
        connections: how many it had.
        figures: by action.
    """

    round: int
    tasks: int
    contender: str
    connections: Connections
    figures: dict[str, Figures]


async def run_scenario(
    scenario: Scenario, settings: Settings, redis_url: str, advance: Callable[[], None]
) -> list[Measurement]:
    """Run all rounds of a scenario.

    Args:
        scenario: whose contenders are measured.
        settings: how much.
        redis_url: the server of all contenders.
        advance: is called after each turn; there are `turns_of` in all.

    Raises:
        WrongSessionError: a contender did not do the work that is measured.
    """
    key_prefix = f"chirp-benchmark:{secrets.token_hex(8)}:"
    measurements = []
    async with Watcher(redis_url) as watcher:
        try:
            for number, tasks, contender in _turns(scenario, settings, redis_url, key_prefix):
                try:
                    measurement = await _take_turn(contender, settings, number, tasks, watcher)
                finally:
                    await contender.close()
                if number > 0:
                    measurements.append(measurement)
                advance()
        finally:
            await watcher.delete_keys(key_prefix)
    return measurements


def turns_of(scenario: Scenario, settings: Settings) -> int:
    """Return how many turns `run_scenario` takes."""
    return (settings.rounds + 1) * len(settings.tasks) * len(scenario.contenders)


def _turns(
    scenario: Scenario, settings: Settings, redis_url: str, key_prefix: str
) -> Iterator[tuple[int, int, Contender]]:
    """Give each turn's round (0 does not count), number of tasks, and contender, made anew with no connection."""
    for number in range(settings.rounds + 1):
        for tasks in settings.tasks:
            first = number % len(scenario.contenders)  # nobody always follows the same one
            for kind in (*scenario.contenders[first:], *scenario.contenders[:first]):
                yield number, tasks, kind(redis_url, f"{key_prefix}{kind.name}:")


async def _take_turn(
    contender: Contender, settings: Settings, number: int, tasks: int, watcher: Watcher
) -> Measurement:
    await contender.begin(CHECKED_SESSIONS)
    await check_work(contender, range(CHECKED_SESSIONS))
    await contender.begin(tasks)
    times = settings.times(contender, tasks)
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
        expect(contender, "the session afterwards", await contender.show(task), session_after(task, 1 + times))
    return Measurement(number, tasks, contender.name, connections, figures)


def _expect_all(contender: Contender, action: str, last: Sequence[object], changes: int) -> None:
    for task, found in enumerate(last):
        expect(contender, f"{action} by task {task}", found, contender.seen(session_after(task, changes)))
