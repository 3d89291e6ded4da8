"""CPU time of this process and of another one."""

import sys
import time


def cpu_seconds(process_id: int) -> float | None:
    """Return the CPU time of a process of this machine, user and system; None where only a process itself can tell.

    Raises:
        OSError: there is no such process.
    """
    if sys.platform != "linux":
        return None
    # clock_getcpuclockid(3), which Python lacks, computes just this; /proc counts in steps of 10 ms.
    return time.clock_gettime((~process_id << 3) | 2)
