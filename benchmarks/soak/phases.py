"""A phase: servers, two workers, browsers, and one event after the other."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cluster import FAILING_OVER, running
from benchmarks.http import worker
from benchmarks.http.child import END_SECONDS, Child, child
from benchmarks.own_server import OwnServer
from benchmarks.sentinel import port_of, watched
from benchmarks.soak.app import FRONTS, NODES, SENTINELS, written
from benchmarks.soak.browser import KEYS, Browser, Request
from benchmarks.soak.cable import cable_to
from benchmarks.soak.events import MAY_LOSE, Clustered, Event, Failing, Single
from benchmarks.soak.expected import Expected, Findings, Losses
from benchmarks.soak.settings import Settings
from chirp.embedded import name_and_version

START_SECONDS = 20.0
AOF = ("--appendonly", "yes", "--appendfsync", "always")
# A failover may undo what was acknowledged a moment before, and what the old primary took until it was told.
UNDONE_BEFORE = 2.0
UNDONE_AFTER = 3.0


@dataclass
class Happened:
    """One event, on the clock `time.monotonic`.

    Attributes:
        name: of it.
        began: when it was done to the servers.
        mended: when the servers could serve again.
    """

    name: str
    began: float
    mended: float = 0.0


@dataclass
class Log:
    """Everything that a phase has shown."""

    name: str
    description: str
    server: str
    began: float = 0.0
    ended: float = 0.0
    requests: list[Request] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    losses: Losses = field(default_factory=Losses)
    overtaken: int = 0


async def single(settings: Settings, advance: Callable[[], None]) -> Log:
    """One node with an append-only file that is written before each answer."""
    with TemporaryDirectory(prefix="chirp-soak-") as folder:
        server = OwnServer(data_dir=Path(folder), extra_args=AOF)
        with server:
            log = Log("one node", "one node with appendonly yes and appendfsync always", server.version)
            async with cable_to(port_of(server)) as cable:
                await _go_through(
                    log, cable.url, Single(server, cable).events(), settings.single, settings=settings, advance=advance
                )
    return log


async def sentinel(settings: Settings, advance: Callable[[], None]) -> Log:
    """A primary and a replica, failed over by sentinels."""
    with watched() as group:
        description = "a primary, a replica and three sentinels, nothing on disk"
        log = Log("failovers", description, group.servers[0].version)
        where = written(SENTINELS, map(port_of, group.sentinels))
        await _go_through(log, where, Failing(group).events(), settings.sentinel, settings=settings, advance=advance)
    return log


async def cluster(settings: Settings, advance: Callable[[], None]) -> Log:
    """Three primaries with a replica each."""
    with running(3, FAILING_OVER) as nodes:
        description = "a cluster of three primaries with a replica each, nothing on disk"
        log = Log("cluster", description, name_and_version(nodes.nodes[0].redis.info("server")))
        where = written(NODES, (node.port for node in nodes.nodes))
        await _go_through(log, where, Clustered(nodes).events(), settings.cluster, settings=settings, advance=advance)
    return log


async def _go_through(
    log: Log,
    where: str,
    events: Mapping[str, Event],
    names: Sequence[str],
    *,
    settings: Settings,
    advance: Callable[[], None],
) -> None:
    """Have one event after the other happen while browsers browse.

    Args:
        log: takes what is seen.
        where: the servers, as the workers are told.
        events: by name.
        names: of those of a round, in order.
        settings: how much.
        advance: is called after each event.
    """
    async with _workers(where) as ports, _browsers(log, settings, ports):
        for name in [*names] * settings.rounds:
            await _happen(log, name, events[name], settings)
            advance()


async def _happen(log: Log, name: str, event: Event, settings: Settings) -> None:
    await asyncio.sleep(settings.quiet_seconds)
    happened = Happened(name, time.monotonic())
    log.events.append(happened)
    may_lose = name in MAY_LOSE
    if may_lose:
        log.losses.spans.append((happened.began - UNDONE_BEFORE, float("inf")))

    def mended() -> None:
        happened.mended = time.monotonic()
        if may_lose:
            log.losses.spans[-1] = (happened.began - UNDONE_BEFORE, happened.mended + UNDONE_AFTER)

    await event(settings.hold_seconds, mended)


@asynccontextmanager
async def _workers(where: str) -> AsyncIterator[list[int]]:
    """Give the ports of the workers. They are never started again: whoever ends has failed.

    Raises:
        ChirpError: one has not started, or has ended.
    """
    key_prefix = f"chirp-benchmark:{secrets.token_hex(8)}:"
    async with AsyncExitStack() as stack:
        children: list[Child] = []
        for front in FRONTS:
            job: worker.Job = {"contender": front, "redis_url": where, "key_prefix": key_prefix}
            children.append(await stack.enter_async_context(child(front, worker.__name__, job)))
        yield [(await one.next_line(START_SECONDS))["port"] for one in children]
        for one in children:
            one.close_stdin()
            await one.next_line(END_SECONDS)


@asynccontextmanager
async def _browsers(log: Log, settings: Settings, ports: list[int]) -> AsyncIterator[None]:
    """Have browsers browse while the block runs, and for a quiet time after it."""
    over = asyncio.Event()
    browsers = []
    for number in range(settings.browsers):
        expected = Expected(f"browser-{number}", KEYS, log.losses, log.findings)
        in_turn = ports[number % 2 :] + ports[: number % 2]
        stays = number % 4 >= 2
        browsers.append(Browser(expected, in_turn, log.requests, random.Random(number), stays=stays))
    log.began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as tasks:
            for browser in browsers:
                tasks.create_task(browser.browse(over.is_set, settings.think_seconds))
            yield
            await asyncio.sleep(settings.quiet_seconds)
            over.set()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    log.ended = time.monotonic()
    log.overtaken = sum(browser.overtaken for browser in browsers)
