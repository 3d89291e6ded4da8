"""The least a session on Redis can be: GET and SET of JSON. No stamps, no merge, no limits."""

import json
from abc import abstractmethod
from typing import Any

from redis.asyncio import Redis
from starlette.requests import Request

from benchmarks.contenders.contender import Contender
from benchmarks.sessions import PAYLOAD_BYTES, compact_json

MAX_AGE = 86400  # seconds, as in SessionConfig
COOKIE = "session"


class PlainStore(Contender):
    """What the plain contenders share; they differ in where a client comes from."""

    def __init__(self, redis_url: str, key_prefix: str, payload_bytes: int = PAYLOAD_BYTES) -> None:
        super().__init__(redis_url, key_prefix, payload_bytes)
        self._requests: list[Request] = []

    @abstractmethod
    async def _get(self, key: str) -> Any: ...

    @abstractmethod
    async def _set(self, key: str, value: bytes) -> None: ...

    async def begin(self, sessions: int) -> None:
        cookies = [f"{COOKIE}={task:043}".encode("ascii") for task in range(sessions)]  # as long as an id of chirp's
        self._requests = [
            Request({"type": "http", "scheme": "https", "headers": [(b"cookie", cookie)]}) for cookie in cookies
        ]
        await self._store_all({self._key(task): compact_json(self.session(task)) for task in range(sessions)})

    async def _store_all(self, values: dict[str, bytes]) -> None:
        async with Redis.from_url(self.redis_url) as client, client.pipeline(transaction=False) as commands:
            for key, value in values.items():
                commands.set(key, value, ex=MAX_AGE)
            await commands.execute()

    def _key(self, task: int) -> str:
        return self.key_prefix + self._requests[task].cookies[COOKIE]

    async def read(self, task: int) -> Any:
        return json.loads(await self._get(self._key(task)))

    async def change(self, task: int) -> Any:
        session, _ = await self._change(task)
        return session

    async def _change(self, task: int) -> tuple[dict[str, Any], bytes]:
        """Return the session that was stored, and what was stored."""
        key = self._key(task)
        session = json.loads(await self._get(key))
        session["count"] += 1
        value = compact_json(session)
        await self._set(key, value)
        return session, value

    async def show(self, task: int) -> dict[str, Any]:
        session: dict[str, Any] = json.loads(await self._get(self._key(task)))
        return session

    def seen(self, session: dict[str, Any]) -> Any:
        return session
