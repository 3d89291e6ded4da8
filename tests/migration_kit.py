"""A site that moves from a predecessor to this package, and what its browsers do."""

from collections.abc import Callable
from typing import Any

import httpx2
from old_sites import Site, old_app, predecessor
from redis.asyncio import Redis
from starlette.middleware import Middleware
from starlette.requests import Request

from chirp import (
    App,
    ASGISessionMiddleware,
    CookieSessionStore,
    RedisSessionStore,
    SessionConfig,
    SessionMiddleware,
    regenerate_session,
)
from chirp.middleware.sessions.predecessor import Predecessor

SIGNED_IN = {"user_id": 7, "cart": [1, {"ä": None}]}
FRONTS = ("asgi", "app")
GRACE_MS = 30_000


class Move(Site):
    """A site before and after its migration."""

    def __init__(self, kind: str, redis: Redis, url: str, prefix: str) -> None:
        super().__init__()
        self.kind = kind
        self.redis = redis
        self.url = url
        self.prefix = prefix
        self.store: Any = None
        self.app = self.old = old_app(kind, self, redis, prefix)

    def migrate(
        self, front: str = "asgi", old: Predecessor | None = None, *, store: str = "redis", **more: Any
    ) -> None:
        """Put the new app in the old one's place."""
        old = old or predecessor(self.kind, self.redis, self.prefix)
        config = SessionConfig("of the new app, and quite long enough", predecessors=(old,), **more)
        in_redis = store == "redis"
        self.store = RedisSessionStore(config, self.url, self.prefix) if in_redis else CookieSessionStore(config)
        config = SessionConfig("of the new app, and quite long enough", predecessors=(old,), store=self.store, **more)
        if front == "asgi":
            self.app = self.starlette(Middleware(ASGISessionMiddleware, config=config))
        else:
            self.app = App()
            self.app.add_middleware(SessionMiddleware(config))
            self.app.route("/{any:path}")(self.answer)

    async def sign_in(self) -> str:
        """Sign in on the old app, and return the old cookie."""
        await self.visit(lambda request: request.session.update(SIGNED_IN))
        old = self.client.cookies.get("session")
        assert old is not None
        return old

    async def sign_in_on_the_old_app(self) -> None:
        """Sign in on an instance of the old app that runs beside the new one."""
        new, self.app = self.app, self.old
        await self.sign_in()
        self.app = new

    async def old_keys(self) -> list[bytes]:
        return [key async for key in self.redis.scan_iter(match=f"{self.prefix}old:*", count=1000)]


MakeMove = Callable[[str], Move]


def log_out(request: Request) -> None:
    request.session.clear()


def log_in(request: Request) -> None:
    regenerate_session().update(user_id=8)


def deletes(response: httpx2.Response, name: str = "session") -> bool:
    return any(line.startswith(f'{name}=""; Max-Age=0') for line in response.headers.get_list("set-cookie"))
