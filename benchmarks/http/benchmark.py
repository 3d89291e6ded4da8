"""The command: contenders take turns, round by round, in another order each time."""

import secrets
from collections.abc import Callable
from typing import Any

from benchmarks import environment
from benchmarks.http.figures import figures_of
from benchmarks.http.report import draw, show
from benchmarks.http.settings import FULL, SMOKE, Settings, settings_of, steps
from benchmarks.http.turn import take_turn
from benchmarks.server import Watcher

__all__ = ["FULL", "SMOKE", "draw", "run", "show", "steps"]


async def run(settings: Settings, redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    """Run all rounds and return what the file is to hold.

    Args:
        settings: how much is measured.
        redis_url: the server of all contenders; nobody else uses it meanwhile.
        advance: is called `steps` times.

    Raises:
        WrongSessionError: an answer was wrong, or the server counts other requests than the browsers do.
        ChirpError: a server did not start, or ended; the message has its last words.
    """
    key_prefix = f"chirp-benchmark:{secrets.token_hex(8)}:"
    descriptions: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    async with Watcher(redis_url) as watcher:
        version = await watcher.version()
        try:
            for number in range(1, settings.rounds + 1):
                first = number % len(settings.contenders)  # nobody always follows the same one
                for name, path in (*settings.contenders[first:], *settings.contenders[:first]):
                    turn_prefix = f"{key_prefix}{number}:{name}:"
                    descriptions[name], found = await take_turn(
                        name, path, redis_url=redis_url, key_prefix=turn_prefix, settings=settings, advance=advance
                    )
                    rows += [{"round": number, "contender": name, **row} for row in found]
        finally:
            await watcher.delete_keys(key_prefix)
    return {
        "versions": environment.versions(version),
        "machine": environment.machine(),
        "settings": settings_of(settings),
        **figures_of({name: descriptions[name] for name, _ in settings.contenders}, rows),
    }
