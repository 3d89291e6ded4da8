"""Old sessions that are JSON in Redis, found by what stands in a cookie."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.predecessor import Data, Predecessor
from chirp.migration.documents import read_object, without_metadata

PLACE = "{id}"
NO_EXPIRY = -1  # Redis's reply for a key without one

T = TypeVar("T")


class JSONInRedis(Predecessor):
    """Sessions that an app of your own wrote: one JSON object each, under a key that the cookie leads to.

    Args:
        client: a `redis.asyncio.Redis` (or `RedisCluster`) on the database where they are; never closed here.
        key: where they are, such as "session:{id}", `{id}` being the cookie's value; or a function that takes the
            cookie's value and returns the key, or None if it is none: for ids that are signed or hashed.
        cookie_name: of the old cookie.
        timeout_seconds: deadline of one step, from asking to the answer.
        options: see `Predecessor`. Where the data is nested in the document, let `convert` take it out.

    Raises:
        ConfigurationError: a value that cannot work.
    """

    def __init__(
        self,
        client: Any,
        key: str | Callable[[str], str | None] = "session:{id}",
        *,
        cookie_name: str = "session",
        timeout_seconds: float = 2.0,
        **options: Any,
    ) -> None:
        super().__init__(cookie_name, **options)
        if not all(callable(getattr(client, name, None)) for name in ("get", "pttl", "pexpire", "delete")):
            raise ConfigurationError(f"client is a {type(client).__qualname__}: must be a redis.asyncio.Redis")
        if not callable(key) and (not isinstance(key, str) or key.count(PLACE) != 1):
            raise ConfigurationError(f'key={key!r}: must have "{PLACE}" in it once, or be a function')
        if not 0 < timeout_seconds <= 60:
            raise ConfigurationError(f"timeout_seconds={timeout_seconds!r}: must be more than 0, and at most 60")
        self._client = client
        self._key = key
        self._timeout_seconds = timeout_seconds

    async def read(self, value: str) -> Data | None:
        key = self._key_for(value)
        if key is None:
            return None
        document = await self._asked(self._client.get(key))
        return None if document is None else read_object(document)

    async def end(self, value: str, grace_seconds: int) -> None:
        key = self._key_for(value)
        # A client may name any key that the old ones could have been, and a logout would end what is no session.
        if key is not None and await JSONInRedis.read(self, value) is not None:
            await self._asked(self._let_go(key, grace_seconds * 1000))

    def _key_for(self, value: str) -> str | None:
        # A lone surrogate, which quoting can smuggle in, is nothing that Redis could be asked for.
        value = value.encode("utf-8", "ignore").decode("utf-8")
        return self._key(value) if callable(self._key) else self._key.replace(PLACE, value)

    async def _let_go(self, key: str, grace_ms: int) -> None:
        if grace_ms == 0:
            await self._client.delete(key)
            return
        left = await self._client.pttl(key)
        if left == NO_EXPIRY or left > grace_ms:
            await self._client.pexpire(key, grace_ms)

    async def _asked(self, work: Awaitable[T]) -> T | None:
        """Await work of Redis; None where something of another type stands under the key, or no text.

        Raises:
            StoreUnavailable: it did not answer in time, or refused.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await work
        except Exception as error:
            # Whatever it is: the exceptions of redis-py have no base that is importable without it.
            if str(error).startswith("WRONGTYPE") or isinstance(error, UnicodeDecodeError):
                return None
            raise StoreUnavailable(f"old sessions in Redis: {type(error).__name__}") from error


class StarsessionsRedis(JSONInRedis):
    """Sessions of starsessions' `RedisStore` with its `JsonSerializer`.

    Args:
        client: a `redis.asyncio.Redis` on the database where they are; never closed here.
        prefix: of the old store, text or a function as there.
        options: see `JSONInRedis` and `Predecessor`.

    Raises:
        ConfigurationError: a value that cannot work.
    """

    def __init__(self, client: Any, prefix: str | Callable[[str], str] = "starsessions.", **options: Any) -> None:
        super().__init__(client, prefix if callable(prefix) else lambda value: prefix + value, **options)

    async def read(self, value: str) -> Data | None:
        return without_metadata(await super().read(value))
