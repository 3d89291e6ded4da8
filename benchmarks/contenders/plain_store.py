"""The least a session on Redis can be: GET and JSON, JSON and SET. No stamps, no merge, no limits."""

import json
from abc import abstractmethod
from typing import Any

from redis.asyncio import Redis
from starlette.requests import Request

from benchmarks.contenders.contender import Contender
from benchmarks.sessions import compact_json, first_session

MAX_AGE = 86400  # seconds, as in SessionConfig
COOKIE = "session"


class PlainStore(Contender):
    """What the plain contenders share; they differ in where a client comes from."""

    def __init__(self, redis_url: str, key_prefix: str) -> None:
        super().__init__(redis_url, key_prefix)
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
        async with Redis.from_url(self.redis_url) as client, client.pipeline(transaction=False) as commands:
            for task in range(sessions):
                commands.set(self._key(task), compact_json(first_session(task)), ex=MAX_AGE)
            await commands.execute()

    def _key(self, task: int) -> str:
        return self.key_prefix + self._requests[task].cookies[COOKIE]

    async def read(self, task: int) -> dict[str, Any]:
        session: dict[str, Any] = json.loads(await self._get(self._key(task)))
        return session

    async def change(self, task: int) -> dict[str, Any]:
        session = await self.read(task)
        session["count"] += 1
        await self._set(self._key(task), compact_json(session))
        return session

    async def show(self, task: int) -> dict[str, Any]:
        return await self.read(task)

    def seen(self, session: dict[str, Any]) -> dict[str, Any]:
        return session
