"""One task is measured on one processor, and everything else on those that there are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks import micro, rounds
from benchmarks.processors import one_processor
from benchmarks.run import Settings

linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not let one choose")


@pytest.fixture
def started() -> Iterator[int]:
    """A process that this one has started."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


@linux
def test_this_process_and_what_it_has_started_share_one_processor(started: int) -> None:
    """For the time of the block."""
    before = os.sched_getaffinity(0)
    with one_processor():
        assert os.sched_getaffinity(0) == os.sched_getaffinity(started) == {min(before)}
    assert os.sched_getaffinity(0) == os.sched_getaffinity(started) == before


@linux
def test_a_process_that_nobody_here_has_started_is_left_alone() -> None:
    """Such as a server that is used by others, too."""
    before = os.sched_getaffinity(os.getppid())
    with one_processor():
        assert os.sched_getaffinity(os.getppid()) == before


async def test_turns_with_one_task_are_taken_on_one_processor(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every contender, and no others: with more tasks there is work for two."""
    turns: list[str] = []

    @contextmanager
    def recorded() -> Iterator[None]:
        turns.append("begun")
        yield
        turns.append("over")

    monkeypatch.setattr(rounds, "one_processor", recorded)
    await micro.run(Settings(rounds=1, tasks=(1, 2), operations=2), redis_url, lambda: None)
    of_one_task = 2 * len(micro.SCENARIO.contenders)  # a warm-up round goes first
    assert turns == ["begun", "over"] * of_one_task
