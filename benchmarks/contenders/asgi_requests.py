"""Requests to an app called in process, each with the cookie that its task's browser has."""

import json
from abc import abstractmethod
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from benchmarks.contenders.contender import Contender
from benchmarks.sessions import PAYLOAD_BYTES


def seen(session: dict[str, Any]) -> str:
    """Return the body of the response to `/read` and `/change`, whatever the framework."""
    return f"{session['name']}: {session['count']}"


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


class AsgiRequests(Contender):
    """What the contenders share that are an app with `/begin`, `/read`, `/change` and `/show`."""

    def __init__(self, redis_url: str, key_prefix: str, payload_bytes: int = PAYLOAD_BYTES) -> None:
        super().__init__(redis_url, key_prefix, payload_bytes)
        self._app = self._make_app()
        self._cookies: list[bytes] = []

    @abstractmethod
    def _make_app(self) -> ASGIApp: ...

    async def begin(self, sessions: int) -> None:
        self._cookies = [b""] * sessions
        for task in range(sessions):
            await self._get("/begin", task, f"task={task}&payload_bytes={self.payload_bytes}".encode("ascii"))

    async def read(self, task: int) -> bytes:
        return await self._get("/read", task)

    async def change(self, task: int) -> bytes:
        return await self._get("/change", task)

    async def show(self, task: int) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(await self._get("/show", task))
        return shown

    def seen(self, session: dict[str, Any]) -> bytes:
        return seen(session).encode("ascii")

    def _scope(self, path: str, task: int, query: bytes) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "raw_path": path.encode("ascii"),
            "query_string": query,
            "root_path": "",
            "headers": [(b"host", b"example.com"), (b"accept", b"*/*"), (b"cookie", self._cookies[task])],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 443),
        }

    async def _get(self, path: str, task: int, query: bytes = b"") -> bytes:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        await self._app(self._scope(path, task, query), receive, send)
        start, body = messages
        assert start["status"] == 200
        # The browser's part. It costs the same whether a cookie came or not, so it adds to no contender.
        self._cookies[task] = dict(start["headers"]).get(b"set-cookie", self._cookies[task]).partition(b";")[0]
        content: bytes = body["body"]
        return content


class KeptInMemory(AsgiRequests):
    """An app without session middleware: `scope["session"]` is a dict of the benchmark's."""

    async def begin(self, sessions: int) -> None:
        self._kept: list[dict[str, Any]] = [{} for _ in range(sessions)]
        await super().begin(sessions)

    def _scope(self, path: str, task: int, query: bytes) -> Scope:
        scope = super()._scope(path, task, query)
        scope["session"] = self._kept[task]
        return scope
