"""One measurement."""

import asyncio

import pytest

from benchmarks.measure import measure, percentile


async def test_percentile_is_the_nearest_rank() -> None:
    """p50 and p99 are values that occurred."""
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7.0], 99) == 7


async def test_error_in_one_task_ends_the_measurement() -> None:
    """It is raised as it is, and no task goes on."""
    before = asyncio.all_tasks()
    running = asyncio.Event()

    async def action(task: int) -> None:
        if task == 1:
            await running.wait()
            raise OSError("no connection")
        running.set()
        await asyncio.Event().wait()

    with pytest.raises(OSError, match="no connection"):
        await measure(action, 2, 1)
    assert asyncio.all_tasks() == before
