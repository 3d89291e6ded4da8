"""One failure, met by every kind of request in every way at the same time, and what came of each."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from outage_site import BYSTANDER, KINDS, WAYS, Seen, Site, Way
from proxy import Proxy, proxied
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from servers import OwnServer, program_on_path

from benchmarks.cluster import RunningCluster

BEFORE = "before"  # the failure is there when the request comes
DURING = "during"  # it comes while the handler runs: the session has been loaded
MOMENTS = (BEFORE, DURING)
ANY_HASH = "?" * 64  # what keys of sessions end with

Outcomes = dict[tuple[str, Way], Seen]


class Place(Protocol):
    """Where sessions are stored.

    Attributes:
        keys: of the sessions that the requests come with; in a cluster they share a slot.
    """

    keys: list[str]

    async def source(self, way: Way) -> dict[str, Any]:
        """Return how one more store reaches it."""

    async def values(self, prefix: str) -> dict[str, bytes]:
        """Return what is stored under keys with this prefix, once all that was sent has been carried out."""


class ServerPlace:
    """A server of one's own.

    Args:
        server: the server.
        admin: a client whose permissions nothing takes away, and which waits for no retry.
        stack: closes what is opened.
        user: the user, with its password, as whom stores come; None for the default one.
        through_proxy: whether each store has a proxy of its own in front of it.
    """

    def __init__(
        self, server: OwnServer, admin: Redis, stack: AsyncExitStack, user: str | None, *, through_proxy: bool
    ) -> None:
        self.server = server
        self.admin = admin
        self.keys: list[str] = []
        self.proxies: list[Proxy] = []
        self._stack = stack
        self._user = user
        self._through_proxy = through_proxy

    async def source(self, way: Way) -> dict[str, Any]:
        url = self.server.url
        if self._through_proxy:
            self.proxies.append(await self._stack.enter_async_context(proxied(url)))
            url = self.proxies[-1].url
        if self._user is not None:
            url = url.replace("redis://", f"redis://{self._user}@")
        match way.source:
            case "pool":
                pool = ConnectionPool.from_url(url)
                self._stack.push_async_callback(pool.aclose)
                return {"pool": pool}
            case "client":
                return {"client": lambda: Redis.from_url(url)}
            case _:
                return {"redis_url": url}

    async def values(self, prefix: str) -> dict[str, bytes]:
        for _ in range(2):
            await self.admin.ping()  # what a thawed server finds waiting is carried out before the second one
        return {key.decode(): await self.admin.get(key) or b"" for key in await self.admin.keys(f"{prefix}{ANY_HASH}")}


class ClusterPlace:
    """A cluster."""

    def __init__(self, cluster: RunningCluster) -> None:
        self.cluster = cluster
        self.keys: list[str] = []

    async def source(self, way: Way) -> dict[str, Any]:
        return {"client": self.cluster.client}

    async def values(self, prefix: str) -> dict[str, bytes]:
        return {
            key.decode(): node.redis.get(key) or b""
            for node in self.cluster.nodes
            for key in node.redis.keys(f"{prefix}{ANY_HASH}")
        }


@asynccontextmanager
async def server_place(
    data_dir: Path, arguments: tuple[str, ...], user: str | None, *, through_proxy: bool
) -> AsyncIterator[ServerPlace]:
    """Start a server; the user, if there is one, may do everything at first."""
    with _killed_at_the_end(OwnServer(binary=program_on_path(), data_dir=data_dir, extra_args=arguments)) as server:
        admin = Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
        async with AsyncExitStack() as stack, admin:
            if user is not None:
                name, _, password = user.partition(":")
                await admin.execute_command("ACL", "SETUSER", name, "on", f">{password}", "~*", "+@all")
            yield ServerPlace(server, admin, stack, user, through_proxy=through_proxy)


@contextmanager
def _killed_at_the_end(server: OwnServer) -> Iterator[OwnServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()  # by itself it takes a tenth of a second, and it has nothing to save


async def observe(place: Place, cause: Callable[[Any], Any], moment: str, *, timeout_seconds: float) -> Outcomes:
    """Cause a failure, have every kind of request meet it in every way, end it, and look afterwards.

    Args:
        place: where the sessions are.
        cause: takes the place, and returns an async context manager that causes the failure and ends it.
        moment: when.
        timeout_seconds: of the stores; each request has one of its own, so none waits for another.
    """
    slot = secrets.token_hex(8)  # one for all, in a cluster: a test that moves it moves all sessions
    sites = {
        (kind, way): Site(
            kind,
            way,
            f"chirp-test:{{{slot}}}:{kind}:{way.front}:{way.mode}:",
            timeout_seconds,
            **await place.source(way),
        )
        for kind in KINDS
        for way in WAYS
    }
    try:
        await next(iter(sites.values())).warm()
        for site in sites.values():  # one after another: before the failure no deadline is to pass on a busy machine
            await site.prepare()
        presented = {of: site.store.key_for(site.cookie) for of, site in sites.items() if site.cookie}
        place.keys += presented.values()
        await _meet(place, cause, moment, list(sites.values()))
        for of, site in sites.items():
            documents = await _documents(place, site.store.key_prefix)
            site.seen.live = list(documents.values())
            site.seen.moved = presented.get(of) not in documents
        for site in sites.values():
            await site.look_afterwards()
    finally:
        await asyncio.gather(*(site.aclose() for site in sites.values()))
    return {of: site.seen for of, site in sites.items()}


async def _meet(place: Place, cause: Callable[[Any], Any], moment: str, sites: list[Site]) -> None:
    if moment == BEFORE:
        async with cause(place):
            await asyncio.gather(*(site.request() for site in sites))
        return
    for site in sites:
        site.gate.clear()
    requests = []
    for site in sites:
        requests.append(asyncio.create_task(site.request()))
        async with asyncio.timeout(10):
            await site.entered.wait()
    async with cause(place):
        for site in sites:
            site.gate.set()
        await asyncio.gather(*requests)


async def _documents(place: Place, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the data of the live sessions, those of bystanders and tombstones left out, by their keys."""
    values = await place.values(prefix)
    found = {key: json.loads(value)["data"] for key, value in values.items() if value.startswith(b"{")}
    return {key: data for key, data in found.items() if BYSTANDER not in data}
