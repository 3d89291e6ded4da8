"""How much is measured, and of whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.sessions import PAYLOAD_BYTES

ACTIONS = ("change", "read")  # in the order they are taken

# Classes by path: a worker imports its own one, and nobody else needs the peers.
CONTENDERS = (
    ("no sessions", "benchmarks.contenders.asgi_bare:AsgiBare"),
    ("signed cookie", "benchmarks.contenders.asgi_signed_cookie:AsgiSignedCookie"),
    ("chirp on Redis", "benchmarks.contenders.asgi_chirp:AsgiChirp"),
    ("starsessions", "benchmarks.contenders.asgi_starsessions:AsgiStarsessions"),
    ("Litestar, no sessions", "benchmarks.contenders.litestar_app:LitestarBare"),
    ("Litestar", "benchmarks.contenders.litestar_app:LitestarSessions"),
    ("client per operation", "benchmarks.contenders.asgi_client_per_operation:AsgiClientPerOperation"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        rounds: in each of them every contender takes one turn, with a new server process.
        connections: open at the same time, each number in turn; every connection is a browser with its own session.
        warm_up_seconds: of load before each measurement, not counted.
        seconds: of each measurement; it goes on until there were as many answers as connections.
        contenders: names, each with its class as "module:Class".
    """

    rounds: int
    connections: Sequence[int]
    warm_up_seconds: float
    seconds: float
    contenders: Sequence[tuple[str, str]] = CONTENDERS


FULL = Settings(rounds=5, connections=(1, 8, 64, 256), warm_up_seconds=0.15, seconds=0.8)
SMOKE = Settings(rounds=1, connections=(1, 4), warm_up_seconds=0.01, seconds=0.02)


def steps(settings: Settings) -> int:
    """Return how often `run` calls `advance`."""
    return settings.rounds * len(settings.contenders) * len(settings.connections)


def settings_of(settings: Settings) -> dict[str, Any]:
    return {
        "rounds": settings.rounds,
        "connections": list(settings.connections),
        "warm_up_seconds": settings.warm_up_seconds,
        "seconds": settings.seconds,
        "payload_bytes": PAYLOAD_BYTES,
        "server": "one uvicorn worker, a new process for each turn, without access log, else with uvicorn's settings",
    }
