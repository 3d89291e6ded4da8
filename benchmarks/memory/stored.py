"""What sessions take in Redis: stored through the store, counted by the server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.contenders.contender import SECRET
from benchmarks.results import short
from benchmarks.sessions import first_session
from chirp.middleware.sessions import RedisSessionStore, SessionConfig

TASKS = 200
DELETED_AT_ONCE = 1000
GRACE_SECONDS = 3600  # a tombstone has to be there still when they are counted
MEMORY = {"used": "used_memory", "dataset": "used_memory_dataset", "resident": "used_memory_rss"}


class Stored:
    """Sessions under one prefix on one server, which nobody else uses meanwhile.

    Args:
        redis_url: of the server.
        key_prefix: of all keys.
        every: so many sessions, `advance` is called.
        advance: moves the progress bar.
    """

    def __init__(self, redis_url: str, key_prefix: str, every: int, advance: Callable[[], None]) -> None:
        config = SessionConfig(secret_key=SECRET, rotation_grace_seconds=GRACE_SECONDS)
        self._store = RedisSessionStore(config, redis_url, key_prefix)
        self._client = Redis.from_url(redis_url)
        self._keys = f"{key_prefix}*"
        self._documents = key_prefix + "?" * 64  # and not the indexes of users
        self._every = every
        self._advance = advance
        self._fresh = True  # what the server has freed it uses again: only the first sessions make it grow

    async def close(self) -> None:
        """Delete its keys, and close what it opened."""
        try:
            await self._delete()
        finally:
            await self._store.aclose()
            await self._client.aclose()

    async def sessions(self, payload_bytes: int, count: int) -> dict[str, Any]:
        """Store so many sessions with so many bytes of JSON in each; return what one of them takes, in bytes."""
        before = await self._begin(payload_bytes)
        await self._for_all(count, lambda number: self._create(payload_bytes, number))
        row = {"payload_bytes": payload_bytes, "sessions": count, **await self._each(before, count)}
        await self._delete()
        return row

    async def tombstones(self, payload_bytes: int, count: int) -> dict[str, Any]:
        """Store sessions and end them all; return what the tombstone of one takes, in bytes."""
        before = await self._begin(payload_bytes)
        cookies: dict[int, bytes] = {}

        async def create_and_end(number: int) -> None:
            cookies[number] = await self._create(payload_bytes, number)
            await self._end(cookies.pop(number))

        await self._for_all(count, create_and_end)
        row = {"tombstones": count, **await self._each(before, count)}
        await self._delete()
        return row

    async def _begin(self, payload_bytes: int) -> dict[str, int]:
        """Open the store's connections, whose buffers are no session's, and return the memory of the server."""
        await asyncio.gather(*(self._create(payload_bytes, number) for number in range(TASKS)))
        await self._delete()
        return await self._memory()

    async def _create(self, payload_bytes: int, number: int) -> bytes:
        response = Response()
        await self._store.save(response, first_session(number, payload_bytes))
        return response.headers["set-cookie"].partition(";")[0].encode("ascii")

    async def _end(self, cookie: bytes) -> None:
        session = await self._store.load(Request({"type": "http", "scheme": "https", "headers": [(b"cookie", cookie)]}))
        assert session
        session.clear()
        await self._store.save(Response(), session)

    async def _for_all(self, count: int, action: Callable[[int], Awaitable[object]]) -> None:
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                await action(number)
                if (number + 1) % self._every == 0:
                    self._advance()

        await asyncio.gather(*(work() for _ in range(TASKS)))

    async def _memory(self) -> dict[str, int]:
        facts = await self._client.info("memory")
        return {"keys": await self._client.dbsize(), **{name: int(facts[fact]) for name, fact in MEMORY.items()}}

    async def _each(self, before: dict[str, int], count: int) -> dict[str, Any]:
        after = await self._memory()
        if not self._fresh:
            del after["resident"]
        self._fresh = False
        _, keys = await self._client.scan(match=self._documents, count=DELETED_AT_ONCE)
        return {
            "keys": (after.pop("keys") - before.pop("keys")) / count,
            "key_bytes": len(keys[0]),
            "value_bytes": int(await self._client.strlen(keys[0])),
            "memory_usage_bytes": await self._client.memory_usage(keys[0], samples=0),
            **{f"{name}_bytes": short((bytes_used - before[name]) / count) for name, bytes_used in after.items()},
        }

    async def _delete(self) -> None:
        keys: list[bytes] = []
        async for key in self._client.scan_iter(match=self._keys, count=DELETED_AT_ONCE):
            keys.append(key)
            if len(keys) == DELETED_AT_ONCE:
                await self._client.unlink(*keys)
                keys.clear()
        if keys:
            await self._client.unlink(*keys)
