"""Where the scheduler puts this process and the servers that it has started.

With one operation at a time, this process sleeps while the server works, and the server while this one does. On two
processors each of them falls asleep in between, and on a virtual machine to wake one takes as long as all the rest; on
one processor neither does. The scheduler chooses now this and now that, so the same code is fast in one run and slow in
the next. Such cases are therefore measured on one processor, for every contender.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

TASKS = Path("/proc/self/task")


@contextlib.contextmanager
def one_processor() -> Iterator[None]:
    """Keep this process and those that it has started on one processor; does nothing where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = {process: os.sched_getaffinity(process) for process in (os.getpid(), *_started())}
    try:
        for process in before:
            os.sched_setaffinity(process, {min(before[os.getpid()])})
        yield
    finally:
        for process, processors in before.items():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(process, processors)


def _started() -> list[int]:
    """Return the ids of the processes that this one has started; a server that was there before is none of them."""
    started: list[int] = []
    for task in TASKS.iterdir():
        with contextlib.suppress(FileNotFoundError):  # the thread has ended meanwhile, or the kernel does not tell
            started += map(int, (task / "children").read_text().split())
    return started
