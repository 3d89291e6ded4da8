"""A whole run: every scenario on one server, as one set of results."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks import environment, results
from benchmarks.rounds import Settings, run_scenario
from benchmarks.scenarios.scenario import Scenario
from benchmarks.server import Watcher


async def run(
    scenarios: Sequence[Scenario], settings: Settings, redis_url: str, advance: Callable[[str], None]
) -> dict[str, Any]:
    """Run the scenarios one after the other and return what the file is to hold.

    Args:
        scenarios: at least one.
        settings: how much is measured.
        redis_url: a server that nobody else uses meanwhile.
        advance: is called with the scenario's name after each of its turns.

    Raises:
        WrongSessionError: a contender did not do the work that is measured.
    """
    async with Watcher(redis_url) as watcher:
        server = await watcher.version()
    parts = {}
    for scenario in scenarios:
        measurements = await run_scenario(scenario, settings, redis_url, partial(advance, scenario.name))
        parts[scenario.name] = results.scenario_of(scenario, measurements)
    return {
        "versions": environment.versions(server),
        "machine": environment.machine(),
        "settings": results.settings_of(settings),
        "scenarios": parts,
    }
