"""starsessions on Redis, on the same Starlette app."""

from collections.abc import Sequence

from redis.asyncio import Redis
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starsessions import SessionMiddleware, load_session
from starsessions.stores.redis import RedisStore

from benchmarks.contenders.asgi_app import AsgiApp, Handler
from benchmarks.contenders.plain_store import MAX_AGE
from benchmarks.contenders.pooled_client import MOST_CONNECTIONS


class AsgiStarsessions(AsgiApp):
    name = "starsessions"
    description = (
        "Starlette with starsessions as its README shows it: SessionMiddleware(store, lifetime=86400), handlers begin "
        "with await load_session(request) (cheaper than SessionAutoloadMiddleware), RedisStore(connection=client) on "
        "one redis.asyncio client with max_connections above the tasks"
    )
    most_operations = 1000

    def middleware(self) -> Sequence[Middleware]:
        self._client = Redis.from_url(self.redis_url, max_connections=MOST_CONNECTIONS)
        store = RedisStore(connection=self._client, prefix=self.key_prefix)
        return (Middleware(SessionMiddleware, store=store, lifetime=MAX_AGE),)

    def handler(self, handler: Handler) -> Handler:
        async def loaded(request: Request) -> Response:
            await load_session(request)
            return await handler(request)

        return loaded

    async def close(self) -> None:
        await self._client.aclose()
