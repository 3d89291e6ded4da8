"""How long, how many browsers, and what is done to the servers."""

from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 2.0  # the store's default
MOST_STEPS = 2  # of one request: a load and a save, each with the store's deadline
SLACK_SECONDS = 1.0
LATE_SECONDS = MOST_STEPS * TIMEOUT_SECONDS + SLACK_SECONDS
WORKERS = 2
GRACE_SECONDS = 30  # for which an old id leads to a renewed session: the default


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is done.

    Attributes:
        rounds: how often each phase goes through its events.
        browsers: at once.
        think_seconds: between two pages of a browser, at least and at most.
        single: events of the phase with one node, by the names in `events`.
        sentinel: events of the phase with a primary, a replica and sentinels.
        cluster: events of the phase with three primaries and their replicas.
        hold_seconds: for which a server stays killed, frozen or cut off.
        quiet_seconds: before the first event of a round, and after each of them.
    """

    rounds: int
    browsers: int
    think_seconds: tuple[float, float]
    single: tuple[str, ...]
    sentinel: tuple[str, ...]
    cluster: tuple[str, ...]
    hold_seconds: float
    quiet_seconds: float


FULL = Settings(
    rounds=2,
    browsers=24,
    think_seconds=(0.2, 0.4),
    single=("kill", "freeze", "cut", "reset", "fill"),
    sentinel=(
        "kill the primary",
        "planned failover",
        "planned failover, writes need a replica",
        "freeze the primary",
        "kill the primary and a sentinel",
    ),
    cluster=("kill a primary", "move slots", "freeze a primary", "hand over to a replica"),
    hold_seconds=4.0,
    quiet_seconds=8.0,
)
SMOKE = Settings(
    rounds=1,
    browsers=6,
    think_seconds=(0.05, 0.1),
    single=("kill", "reset"),
    sentinel=("kill the primary",),
    cluster=("move slots",),
    hold_seconds=0.5,
    quiet_seconds=1.0,
)


def steps(settings: Settings) -> int:
    """Return how often `run` calls `advance`."""
    return settings.rounds * (len(settings.single) + len(settings.sentinel) + len(settings.cluster))


def settings_of(settings: Settings) -> dict[str, Any]:
    return {
        "times_each_event": settings.rounds,
        "browsers": settings.browsers,
        "think_seconds": list(settings.think_seconds),
        "hold_seconds": settings.hold_seconds,
        "quiet_seconds": settings.quiet_seconds,
        "store_timeout_seconds": TIMEOUT_SECONDS,
        "late_seconds": LATE_SECONDS,
        "rotation_grace_seconds": GRACE_SECONDS,
        "workers": "one uvicorn with ASGISessionMiddleware and one with chirp.App, serving the same sessions",
    }
