"""The load: browsers, each with a connection, as fast as they are answered. `python -m benchmarks.http.generator`.

A process of its own, so that a moving progress bar costs no request anything. Told what to do by one line on its stdin,
it writes a line for each number of connections, or one with what was wrong.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypedDict

from benchmarks.contenders.contender import WrongSessionError
from benchmarks.http.browser import Browser
from benchmarks.http.clocks import cpu_seconds
from benchmarks.http.settings import ACTIONS
from benchmarks.measure import percentile
from benchmarks.sessions import PAYLOAD_BYTES, first_session, session_after

HOST = "127.0.0.1"
CHECKED_SESSIONS = 3

try:
    import uvloop
except ImportError:
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_loop = uvloop.new_event_loop


class Job(TypedDict):
    """What stdin says, in one line of JSON.

    Attributes:
        port: of the server on loopback.
        process_id: the server's.
        connections: numbers of them, each in turn.
        warm_up_seconds: before each measurement.
        seconds: of each measurement.
    """

    port: int
    process_id: int
    connections: Sequence[int]
    warm_up_seconds: float
    seconds: float


Clocks = tuple[float, float, float | None]  # seconds: the time, the CPU of this process, the CPU of the server's


class Load:
    """One action by all browsers: for a while that is not counted, and for one that is."""

    def __init__(self, job: Job, browsers: Sequence[Browser]) -> None:
        self._job = job
        self._browsers = browsers
        self._latencies: list[float] = []
        self._begins = time.perf_counter() + job["warm_up_seconds"]
        self._ends = 0.0
        self._before: Clocks | None = None
        self._after: Clocks | None = None

    async def run(self, action: str) -> dict[str, Any]:
        """Take the action until the time is up; return the figures."""
        await together(browser.keep_asking(action, self._answered) for browser in self._browsers)
        return self._figures()

    def _answered(self, took: float) -> bool:
        """Count an answer, and tell whether its browser shall go on."""
        if self._after:
            return False
        now = time.perf_counter()
        if self._before:
            self._latencies.append(took)
            if now >= self._ends and len(self._latencies) >= len(self._browsers):
                self._after = self._clocks()
                return False
        elif now >= self._begins:
            self._before = self._clocks()
            self._ends = now + self._job["seconds"]
        return True

    def _clocks(self) -> Clocks:
        return time.perf_counter(), time.process_time(), cpu_seconds(self._job["process_id"])

    def _figures(self) -> dict[str, Any]:
        assert self._before
        assert self._after
        (began, own_before, server_before), (ended, own_after, server_after) = self._before, self._after
        seconds, own = ended - began, own_after - own_before
        server = None if server_before is None or server_after is None else server_after - server_before
        requests = len(self._latencies)
        latencies = sorted(self._latencies)
        return {
            "requests": requests,
            "requests_per_second": requests / seconds,
            "p50_us": 1e6 * percentile(latencies, 50),
            "p99_us": 1e6 * percentile(latencies, 99),
            "server_cpu_us": None if server is None else 1e6 * server / requests,
            "server_cpu_share": None if server is None else server / seconds,
            "generator_cpu_us": 1e6 * own / requests,
            "generator_cpu_share": own / seconds,
        }


async def together(work: Iterable[Coroutine[None, None, object]]) -> None:
    """Run all of it; the first error ends the rest, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def measure(job: Job, connections: int) -> dict[str, Any]:
    """Open the connections, give each its session, measure, look whether the sessions are right, and close."""
    async with contextlib.AsyncExitStack() as open_ones:
        browsers = []
        for task in range(connections):
            browsers.append(await connect(job, task))
            open_ones.callback(browsers[-1].close)
        await together(begin(task, browser) for task, browser in enumerate(browsers))
        figures = {action: await Load(job, browsers).run(action) for action in ACTIONS}
        await together(check(task, browser) for task, browser in enumerate(browsers[:CHECKED_SESSIONS]))
        return {
            "connections": connections,
            "answers": sum(browser.answers for browser in browsers),
            **figures,
        }


async def connect(job: Job, task: int) -> Browser:
    name = str(first_session(task)["name"])
    _, browser = await asyncio.get_running_loop().create_connection(lambda: Browser(name), HOST, job["port"])
    return browser


async def begin(task: int, browser: Browser) -> None:
    await browser.get(f"/begin?task={task}&payload_bytes={PAYLOAD_BYTES}")
    await check(task, browser)


async def check(task: int, browser: Browser) -> None:
    """See that the session is what it has to be after so many changes.

    Raises:
        WrongSessionError: it is not.
    """
    found, right = json.loads(await browser.get("/show")), session_after(task, browser.changes)
    if found != right:
        raise WrongSessionError(f"the session is {found!r}, and {right!r} is right")


async def generate(job: Job) -> None:
    try:
        for connections in job["connections"]:
            say(**await measure(job, connections))
    except WrongSessionError as error:
        say(wrong=str(error))


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(generate(json.loads(sys.stdin.readline())))
