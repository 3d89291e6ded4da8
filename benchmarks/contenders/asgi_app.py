"""One Starlette app, called in process; its contenders differ in the middleware around it alone."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Scope

from benchmarks.contenders.contender import Contender
from benchmarks.sessions import first_session


async def begin(request: Request) -> Response:
    request.session.update(first_session(int(request.query_params["task"])))
    return PlainTextResponse("begun")


async def read(request: Request) -> Response:
    session = request.session
    return PlainTextResponse(f"{session['name']}: {session['count']}")


async def change(request: Request) -> Response:
    session = request.session
    session["count"] += 1
    return PlainTextResponse(f"{session['name']}: {session['count']}")


async def show(request: Request) -> Response:
    return JSONResponse(dict(request.session))


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


class AsgiApp(Contender):
    """Requests to one app, each with the cookie that its task's browser has."""

    def __init__(self, redis_url: str, key_prefix: str) -> None:
        super().__init__(redis_url, key_prefix)
        routes = [Route(f"/{handler.__name__}", handler) for handler in (begin, read, change, show)]
        self._app = Starlette(routes=routes, middleware=self.middleware())
        self._cookies: list[bytes] = []

    @abstractmethod
    def middleware(self) -> Sequence[Middleware]:
        """Return what keeps the sessions."""

    async def begin(self, sessions: int) -> None:
        self._cookies = [b""] * sessions
        for task in range(sessions):
            await self._get("/begin", task, f"task={task}".encode("ascii"))

    async def read(self, task: int) -> bytes:
        return await self._get("/read", task)

    async def change(self, task: int) -> bytes:
        return await self._get("/change", task)

    async def show(self, task: int) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(await self._get("/show", task))
        return shown

    def seen(self, session: dict[str, Any]) -> bytes:
        return f"{session['name']}: {session['count']}".encode("ascii")

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
