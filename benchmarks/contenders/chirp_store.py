"""This package's store: what waits goes out together, on a few connections."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from benchmarks.contenders.contender import SECRET, Contender
from benchmarks.sessions import PAYLOAD_BYTES
from chirp.middleware.sessions import RedisSessionStore, SessionConfig


class ChirpStore(Contender):
    name = "chirp store"
    description = "RedisSessionStore(config, url): store.load(request), and store.save(response, session) to change"

    def __init__(self, redis_url: str, key_prefix: str, payload_bytes: int = PAYLOAD_BYTES) -> None:
        super().__init__(redis_url, key_prefix, payload_bytes)
        self._config = SessionConfig(secret_key=SECRET)
        self._store = self._make_store()
        self._requests: list[Request] = []
        self._responses: list[Response] = []

    def _make_store(self) -> RedisSessionStore:
        return RedisSessionStore(self._config, self.redis_url, self.key_prefix)

    async def begin(self, sessions: int) -> None:
        self._requests = [await self._signed_in(task) for task in range(sessions)]
        self._responses = [Response() for _ in range(sessions)]

    async def _signed_in(self, task: int) -> Request:
        """Return a request whose browser has the session."""
        response = Response()
        await self._store.save(response, self.session(task))
        cookie = response.headers["set-cookie"].partition(";")[0].encode("ascii")
        return Request({"type": "http", "scheme": "https", "headers": [(b"cookie", cookie)]})

    async def read(self, task: int) -> dict[str, Any]:
        return await self._store.load(self._requests[task])

    async def change(self, task: int) -> dict[str, Any]:
        session = await self._store.load(self._requests[task])
        session["count"] += 1
        await self._store.save(self._responses[task], session)
        return session

    async def show(self, task: int) -> dict[str, Any]:
        return dict(await self.read(task))

    def seen(self, session: dict[str, Any]) -> dict[str, Any]:
        return session

    async def close(self) -> None:
        await self._store.aclose()
