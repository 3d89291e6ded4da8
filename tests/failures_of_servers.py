"""Failures of one server, caused on the real one. Each function causes one until its block ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from outage import ServerPlace
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

NOBODY = ("127.0.0.1", "1")  # an address at which no primary listens
FOLDER = "folder.rdb"  # no snapshot can take the place of a folder


async def until(place: ServerPlace, told: str, *command: str) -> None:
    """Wait until the server answers a command with this text or error."""
    answer = None
    async with asyncio.timeout(10):
        while told.lower() not in str(answer).lower():
            try:
                answer = await place.admin.execute_command(*command)
            except RedisError as error:
                answer = error
            await asyncio.sleep(0.005)


@asynccontextmanager
async def frozen(place: ServerPlace) -> AsyncIterator[None]:
    place.server.freeze()
    try:
        yield
    finally:
        place.server.thaw()


@asynccontextmanager
async def down(place: ServerPlace) -> AsyncIterator[None]:
    place.server.kill()
    yield
    await asyncio.to_thread(place.server.start)


@asynccontextmanager
async def restarted(place: ServerPlace) -> AsyncIterator[None]:
    place.server.kill()
    await asyncio.to_thread(place.server.start)
    yield


@asynccontextmanager
async def loading(place: ServerPlace) -> AsyncIterator[None]:
    """The server is back after a crash, and reads what it had stored."""
    await place.admin.mset({f"filler:{number}": "x" * 2000 for number in range(1000)})
    await place.admin.save()
    place.server.kill()
    starting = asyncio.create_task(asyncio.to_thread(place.server.start))
    await until(place, "loading", "PING")
    yield
    await place.admin.config_set("key-load-delay", 0)
    await starting


@asynccontextmanager
async def read_only(place: ServerPlace) -> AsyncIterator[None]:
    """A failover has made another server the primary, and this one a replica."""
    await place.admin.execute_command("REPLICAOF", *NOBODY)
    yield
    await place.admin.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def without_primary(place: ServerPlace) -> AsyncIterator[None]:
    """It is a replica that has lost its primary and may not show what it has."""
    await place.admin.config_set("replica-serve-stale-data", "no")
    async with read_only(place):
        yield


@asynccontextmanager
async def out_of_memory(place: ServerPlace) -> AsyncIterator[None]:
    await place.admin.config_set("maxmemory", 1)
    yield
    await place.admin.config_set("maxmemory", 0)


@asynccontextmanager
async def cannot_save(place: ServerPlace) -> AsyncIterator[None]:
    """Its last snapshot failed, so it takes no writes (`stop-writes-on-bgsave-error`)."""
    folder = Path((await place.admin.config_get("dir"))["dir"], FOLDER)
    await asyncio.to_thread(folder.mkdir)
    await place.admin.config_set("save", "3600 1000000")
    await place.admin.bgsave()
    await until(place, "MISCONF", "SET", "probe", "1")
    yield
    await asyncio.to_thread(folder.rmdir)
    await place.admin.bgsave()
    await until(place, "True", "SET", "probe", "1")


@asynccontextmanager
async def busy(place: ServerPlace) -> AsyncIterator[None]:
    """Somebody's script does not end."""
    await place.admin.config_set("lua-time-limit", 1)
    async with Redis.from_url(place.server.url) as client:
        script = asyncio.create_task(client.eval("while true do end", 0))
        await until(place, "busy", "PING")
        yield
        await place.admin.script_kill()
        with suppress(ResponseError):
            await script


@asynccontextmanager
async def connections_killed(place: ServerPlace) -> AsyncIterator[None]:
    await place.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    yield


@asynccontextmanager
async def full(place: ServerPlace) -> AsyncIterator[None]:
    """The stores have lost their connections, and there is room for no other one."""
    await place.admin.config_set("maxclients", 1)
    async with connections_killed(place):
        yield
    await place.admin.config_set("maxclients", 10_000)


@asynccontextmanager
async def password_changed(place: ServerPlace) -> AsyncIterator[None]:
    await place.admin.execute_command("ACL", "SETUSER", "app", "resetpass", ">other")
    async with connections_killed(place):
        yield
    await place.admin.execute_command("ACL", "SETUSER", "app", ">right")


@asynccontextmanager
async def password_required(place: ServerPlace) -> AsyncIterator[None]:
    await place.admin.config_set("requirepass", "other")
    async with connections_killed(place):
        yield
    await place.admin.config_set("requirepass", "")


@asynccontextmanager
async def scripts_flushed(place: ServerPlace) -> AsyncIterator[None]:
    await place.admin.script_flush()
    yield


def denies(command: str) -> Callable[[ServerPlace], AbstractAsyncContextManager[None]]:
    """Return what takes one command away from the user of the stores."""

    @asynccontextmanager
    async def deny(place: ServerPlace) -> AsyncIterator[None]:
        await place.admin.execute_command("ACL", "SETUSER", "app", f"-{command}")
        yield
        await place.admin.execute_command("ACL", "SETUSER", "app", f"+{command}")

    return deny
