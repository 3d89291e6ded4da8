"""This package's ASGI front, with sessions on Redis."""

from collections.abc import Sequence
from dataclasses import replace

from starlette.middleware import Middleware

from benchmarks.contenders.asgi_app import AsgiApp
from benchmarks.contenders.contender import SECRET
from chirp.middleware.sessions import ASGISessionMiddleware, RedisSessionStore, SessionConfig


class AsgiChirp(AsgiApp):
    name = "chirp on Redis"
    description = "Starlette with ASGISessionMiddleware(config) and RedisSessionStore(config, url)"

    def middleware(self) -> Sequence[Middleware]:
        config = SessionConfig(secret_key=SECRET)
        self._store = RedisSessionStore(config, self.redis_url, self.key_prefix)
        return (Middleware(ASGISessionMiddleware, config=replace(config, store=self._store)),)

    async def close(self) -> None:
        await self._store.aclose()
