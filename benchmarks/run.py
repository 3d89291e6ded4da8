"""A whole run of scenarios, as one set of results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import environment, results
from benchmarks.rounds import run_scenario
from benchmarks.scenario import Case, Plan, Scenario
from benchmarks.server import Watcher
from benchmarks.sessions import ACTIONS, PAYLOAD_BYTES


@dataclass(frozen=True, slots=True)
class Settings:
    """How much of one scenario is measured; see `Plan`."""

    rounds: int = 7
    tasks: Sequence[int] = (1, 5, 20, 100, 500)
    operations: int = 4000

    def plan(self) -> Plan:
        return Plan(self.rounds, [Case(tasks) for tasks in self.tasks], self.operations)


@dataclass(frozen=True, slots=True)
class Part:
    """One scenario of a run, how much of it, and where: URLs by the number of nodes."""

    scenario: Scenario
    plan: Plan
    servers: Mapping[int, Sequence[str]]


async def run_parts(
    parts: Sequence[Part], settings: Any, redis_url: str, advance: Callable[[], None]
) -> dict[str, Any]:
    """Run the parts one after the other and return what the file is to hold.

    Args:
        parts: at least one.
        settings: of the run, a dataclass; goes into the file.
        redis_url: the server whose version goes into the file.
        advance: is called after each turn.

    Raises:
        WrongSessionError: a contender did not do the work that is measured.
    """
    async with Watcher(redis_url) as watcher:
        server = await watcher.version()
    scenarios = {}
    for part in parts:
        measurements = await run_scenario(part.scenario, part.plan, part.servers, advance)
        scenarios[part.scenario.name] = results.scenario_of(part.scenario, part.plan, measurements)
    return {
        "versions": environment.versions(server),
        "machine": environment.machine(),
        "settings": {
            **asdict(settings),
            "warm_up_rounds": 1,
            "processors": "one with one task at once, where the system lets one choose; else all",
            "garbage_collector": "on; it leaves out what was there before the contender was made",
            "payload_bytes": PAYLOAD_BYTES,
            "actions": ACTIONS,
        },
        "scenarios": scenarios,
    }
