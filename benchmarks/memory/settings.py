"""How much is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        rounds: processes that serve requests, one after the other.
        requests: that each of them serves.
        first: after so many requests its memory is taken as the measure of the rest.
        every: so many requests, its memory is read; a divisor of the other numbers.
        tasks: requests at once.
        browsers: whose sessions they are.
        sessions: stored in Redis, as bytes of JSON in each and how many of them; the most of them first.
        tombstones: sessions that are ended again, to see what an ended one takes.
    """

    rounds: int
    requests: int
    first: int
    every: int
    tasks: int
    browsers: int
    sessions: Sequence[tuple[int, int]]
    tombstones: int


FULL = Settings(
    rounds=1,
    requests=1_000_000,
    first=10_000,
    every=10_000,
    tasks=100,
    browsers=1000,
    sessions=((250, 1_000_000), (100, 100_000), (1000, 100_000)),
    tombstones=50_000,
)
SMOKE = Settings(
    rounds=1, requests=4000, first=1000, every=500, tasks=20, browsers=60, sessions=((250, 2000),), tombstones=500
)


def steps(settings: Settings) -> int:
    """Return how often `run` calls `advance`."""
    stored = sum(count for _, count in settings.sessions) + settings.tombstones
    return (settings.rounds * settings.requests + stored) // settings.every


def settings_of(settings: Settings) -> dict[str, Any]:
    return {
        "rounds": settings.rounds,
        "requests": settings.requests,
        "first": settings.first,
        "every": settings.every,
        "tasks": settings.tasks,
        "browsers": settings.browsers,
        "sessions": [{"payload_bytes": size, "sessions": count} for size, count in settings.sessions],
        "tombstones": settings.tombstones,
    }
