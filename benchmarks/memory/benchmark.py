"""The command: a million requests to one process, then a million sessions in Redis."""

import secrets
from collections.abc import Callable
from typing import Any

from benchmarks import environment
from benchmarks.http.child import child
from benchmarks.memory import visits
from benchmarks.memory.report import draw, show
from benchmarks.memory.settings import FULL, SMOKE, Settings, settings_of, steps
from benchmarks.memory.stored import Stored
from benchmarks.results import summary
from benchmarks.server import Watcher
from benchmarks.sessions import PAYLOAD_BYTES

__all__ = ["FULL", "SMOKE", "draw", "run", "show", "steps"]

SLOWEST_SECONDS = 60.0  # for `every` requests, on the busiest machine; the process's start is in the first ones


async def run(settings: Settings, redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    """Measure both and return what the file is to hold.

    Args:
        settings: how much is measured.
        redis_url: a server that nobody else uses meanwhile, with room for the sessions.
        advance: is called `steps` times.

    Raises:
        WrongSessionError: a response was wrong.
        ChirpError: the process that serves the requests has ended; the message has its last words.
    """
    key_prefix = f"chirp-benchmark:{secrets.token_hex(8)}:"
    async with Watcher(redis_url) as watcher:
        version = await watcher.version()
        try:
            rounds = [await _serve(settings, redis_url, key_prefix, advance) for _ in range(settings.rounds)]
        finally:
            await watcher.delete_keys(key_prefix)
    return {
        "versions": environment.versions(version),
        "machine": environment.machine(),
        "settings": settings_of(settings),
        "requests": _grown(settings, rounds),
        "stored": await _store(settings, redis_url, advance),
    }


async def _serve(
    settings: Settings, redis_url: str, key_prefix: str, advance: Callable[[], None]
) -> list[dict[str, Any]]:
    """Let a new process serve all requests; return its samples."""
    job: visits.Job = {
        "redis_url": redis_url,
        "key_prefix": key_prefix,
        "requests": settings.requests,
        "first": settings.first,
        "every": settings.every,
        "tasks": settings.tasks,
        "browsers": settings.browsers,
    }
    samples = []
    async with child("a million requests", visits.__name__, job) as process:
        for _ in range(settings.requests // settings.every):
            samples.append(await process.next_line(SLOWEST_SECONDS))
            advance()
    return samples


def _grown(settings: Settings, rounds: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Compare the memory after all requests with that after the first ones."""
    first = settings.first // settings.every - 1
    ratios = {
        figure: summary([samples[-1][figure] / samples[first][figure] for samples in rounds if samples[first][figure]])
        for figure in ("resident_bytes", "objects")
    }
    return {
        "description": (
            "one process, a Starlette app with ASGISessionMiddleware and RedisSessionStore called in process; each "
            "browser logs in, reads, changes every fourth time, and logs out after 20 requests"
        ),
        "rounds": [{"round": number, "samples": samples} for number, samples in enumerate(rounds, 1)],
        "ratios": [
            {
                "name": f"{figure} after {settings.requests:,} / {settings.first:,} requests",
                "meaning": "less is better; objects are those that the garbage collector tracks",
                **value,
            }
            for figure, value in ratios.items()
        ],
    }


async def _store(settings: Settings, redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    key_prefix = f"bench{secrets.token_hex(4)}:"  # as long as the default one, since keys take memory too
    stored = Stored(redis_url, key_prefix, settings.every, advance)
    try:
        return {
            "description": (
                "bytes for each session in Redis, stored through RedisSessionStore: what the server's INFO memory has "
                "grown by, divided by the sessions; MEMORY USAGE, key and value of one of them"
            ),
            "sessions": [await stored.sessions(size, count) for size, count in settings.sessions],
            "tombstones": await stored.tombstones(PAYLOAD_BYTES, settings.tombstones),
        }
    finally:
        await stored.close()
