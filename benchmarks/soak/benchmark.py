"""The command: one phase after the other, and a verdict."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks import environment
from benchmarks.contenders.contender import WrongSessionError
from benchmarks.soak import phases
from benchmarks.soak.figures import broken_promises, figures_of
from benchmarks.soak.report import draw, show
from benchmarks.soak.settings import FULL, SMOKE, Settings, settings_of, steps

__all__ = ["FULL", "SMOKE", "draw", "run", "show", "steps"]


async def run(settings: Settings, _redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    """Run the phases and return what the file is to hold.

    Args:
        settings: how much is done.
        _redis_url: is left alone: what is killed here are servers of the soak's own.
        advance: is called after each event.

    Raises:
        WrongSessionError: something was lost, came back, was somebody else's, took too long or was a 500.
        ChirpError: a server or a worker did not start, or ended.
    """
    began = time.monotonic()
    logs = [await phase(settings, advance) for phase in (phases.single, phases.sentinel, phases.cluster)]
    found = {log.name: figures_of(log) for log in logs}
    if broken := broken_promises(found):
        examples = [example for log in logs for example in log.findings.examples]
        raise WrongSessionError("; ".join([*broken, *examples]))
    return {
        "versions": environment.versions(logs[0].server),
        "machine": environment.machine(),
        "settings": settings_of(settings),
        "seconds": round(time.monotonic() - began),
        "phases": found,
    }
