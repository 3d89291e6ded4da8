"""The program that runs under callgrind: one contender's requests in blocks, with a mark before and after each.

Callgrind writes down its counts and starts again from zero at each mark, so start-up, warm-up and the checks of what
was done stand apart from the blocks.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from redis import Redis

from benchmarks.contenders.asgi_app import AsgiApp
from benchmarks.contenders.asgi_bare import AsgiBare
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.asgi_signed_cookie import AsgiSignedCookie
from benchmarks.contenders.contender import check_work, expect
from benchmarks.sessions import ACTIONS, session_after

Action: TypeAlias = Callable[[int], Awaitable[object]]

CONTENDERS: dict[str, type[AsgiApp]] = {kind.name: kind for kind in (AsgiBare, AsgiSignedCookie, AsgiChirp)}
CHECKED_SESSIONS = 1
WARM_UP_TIMES = 2
SLOWER = 1000  # than without valgrind, generously

# It calls the C library's function of that name, which nothing else does here, and which makes no system call.
mark = os.ctermid
MARK = "ctermid"


class SlowLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock goes as slowly as the program under valgrind, so that no deadline passes too early."""

    def time(self) -> float:
        return time.monotonic() / SLOWER


def main() -> None:
    """Run what the arguments say: contender, URL of the server, tasks, times per block, blocks of each action."""
    name, redis_url, *numbers = sys.argv[1:]
    with asyncio.Runner(loop_factory=SlowLoop) as runner:
        blocks = runner.run(run(CONTENDERS[name], redis_url, *map(int, numbers)))
    json.dump(blocks, sys.stdout)


async def run(kind: type[AsgiApp], redis_url: str, tasks: int, times: int, blocks: int) -> list[dict[str, Any]]:
    """Run the blocks of every action, and return for each its action and how often each command was carried out.

    Raises:
        WrongSessionError: the contender did not do the work that is counted.
    """
    contender = kind(redis_url, "chirp-instructions:")
    done: list[dict[str, Any]] = []
    with Redis.from_url(redis_url) as client:
        await contender.begin(CHECKED_SESSIONS)
        await check_work(contender, range(CHECKED_SESSIONS))
        await contender.begin(tasks)
        await take(contender.read, tasks, WARM_UP_TIMES)
        await take(contender.change, tasks, WARM_UP_TIMES)
        changes = WARM_UP_TIMES
        for name in [name for name in ACTIONS for _ in range(blocks)]:
            action: Action = getattr(contender, name)
            before = calls(client)
            gc.collect()
            mark()
            last = await take(action, tasks, times)
            mark()
            after = calls(client)
            changes += times if name == "change" else 0
            for task, found in enumerate(last):
                right = contender.seen(session_after(task, changes))
                expect(contender, f"{name} by task {task}", found, right)
            sent = {command: after[command] - before.get(command, 0) for command in after}
            done.append({"action": name, "commands": {command: n for command, n in sent.items() if n}})
    await contender.close()
    return done


async def take(action: Action, tasks: int, times: int) -> list[object]:
    """Let all tasks take the action so many times, and return what the last time gave each of them."""

    async def work(task: int) -> object:
        for _ in range(times - 1):
            await action(task)
        return await action(task)

    return await asyncio.gather(*(work(task) for task in range(tasks)))


def calls(client: Redis) -> dict[str, int]:
    """Return how often the server has carried out each command, those inside scripts included."""
    statistics: dict[str, dict[str, int]] = client.info("commandstats")
    counted = {name.removeprefix("cmdstat_"): each["calls"] for name, each in statistics.items()}
    return {name: number for name, number in counted.items() if name != "info"}  # which is this function's own


if __name__ == "__main__":
    main()
