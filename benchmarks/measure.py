"""One measurement: so many tasks at once, each taking one action after the other."""

import asyncio
import gc
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; the CPU is this process's, without the server's.

    Attributes:
        operations: how often the action was taken, by all tasks together.
        cpu_us: CPU microseconds per operation, of user and system.
        wall_us: microseconds per operation, from the first task's start to the last one's end.
        p50_us: half of the operations took at most that many microseconds.
        p99_us: 99 of 100 operations took at most that many microseconds.
    """

    operations: int
    cpu_us: float
    wall_us: float
    p50_us: float
    p99_us: float

    @property
    def operations_per_second(self) -> float:
        return 1e6 / self.wall_us


async def measure(
    action: Callable[[int], Awaitable[object]], tasks: int, times: int
) -> tuple[Figures, Sequence[object]]:
    """Let each task take the action `times` times.

    Returns:
        The figures, and what each task's last action returned.

    Raises:
        Whatever the action raises; the other tasks are cancelled then.
    """
    latencies: list[float] = []
    last: list[object] = [None] * tasks

    async def work(task: int) -> None:
        result, before = None, time.perf_counter()
        for _ in range(times):
            result = await action(task)
            now = time.perf_counter()  # one look at the clock for each: it ends one operation and begins the next
            latencies.append(now - before)
            before = now
        last[task] = result

    gc.collect()  # nobody pays for what the one before left behind
    cpu, wall = time.process_time(), time.perf_counter()
    await _all(work, tasks)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    operations = tasks * times
    latencies.sort()
    figures = Figures(
        operations=operations,
        cpu_us=1e6 * cpu / operations,
        wall_us=1e6 * wall / operations,
        p50_us=1e6 * percentile(latencies, 50),
        p99_us=1e6 * percentile(latencies, 99),
    )
    return figures, last


async def _all(work: Callable[[int], Coroutine[None, None, None]], tasks: int) -> None:
    """Run `work` for all tasks; the first error ends the others, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for task in range(tasks):
                group.create_task(work(task))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that is not below `percent` per cent of them (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
