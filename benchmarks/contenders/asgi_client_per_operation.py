"""The naive session layer: a new client, and with it a new connection, for each load and each save."""

import json
import secrets
from collections.abc import Sequence

from redis.asyncio import Redis
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.contenders.asgi_app import AsgiApp
from benchmarks.contenders.plain_store import COOKIE, MAX_AGE
from benchmarks.sessions import compact_json


class NaiveMiddleware:
    """Loads before the handler runs, and saves when it has changed something."""

    def __init__(self, app: ASGIApp, redis_url: str, key_prefix: str) -> None:
        self._app = app
        self._redis_url = redis_url
        self._key_prefix = key_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session_id = HTTPConnection(scope).cookies.get(COOKIE)
        stored = None
        if session_id:
            async with Redis.from_url(self._redis_url) as client:
                stored = await client.get(self._key_prefix + session_id)
        session = scope["session"] = json.loads(stored) if stored else {}

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and (value := compact_json(session)) != stored:
                saved_id = session_id or secrets.token_urlsafe(32)
                await self._save(self._key_prefix + saved_id, value)
                cookie = f"{COOKIE}={saved_id}; Path=/; Max-Age={MAX_AGE}; Secure; HttpOnly; SameSite=lax"
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_with_cookie)

    async def _save(self, key: str, value: bytes) -> None:
        async with Redis.from_url(self._redis_url) as client, client.pipeline() as commands:
            commands.set(key, value)
            commands.expire(key, MAX_AGE)
            await commands.execute()


class AsgiClientPerOperation(AsgiApp):
    name = "client per operation"
    description = (
        "Starlette with the naive session layer, a middleware of the benchmark's: for each load a redis.asyncio client "
        "is made, asked for get(key) and closed, and for each save of a changed session another one, with a pipeline() "
        "of set(key, value) and expire(key, 86400). Fewer operations are measured, since each costs so much"
    )
    most_operations = 100

    def middleware(self) -> Sequence[Middleware]:
        return (Middleware(NaiveMiddleware, redis_url=self.redis_url, key_prefix=self.key_prefix),)
