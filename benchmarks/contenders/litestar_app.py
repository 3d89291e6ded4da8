"""One Litestar app: without sessions, and with Litestar's server-side sessions on Redis."""

from typing import Any

from litestar import Litestar, MediaType, Request, get
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import FromQuery
from litestar.stores.redis import RedisStore
from redis.asyncio import Redis
from starlette.types import ASGIApp

from benchmarks.contenders.asgi_requests import AsgiRequests, KeptInMemory, seen
from benchmarks.contenders.pooled_client import MOST_CONNECTIONS
from benchmarks.sessions import first_session

AnyRequest = Request[Any, Any, Any]


@get("/begin", media_type=MediaType.TEXT)
async def begin(request: AnyRequest, task: FromQuery[int], payload_bytes: FromQuery[int]) -> str:
    request.session.update(first_session(task, payload_bytes))
    return "begun"


@get("/read", media_type=MediaType.TEXT)
async def read(request: AnyRequest) -> str:
    return seen(request.session)


@get("/change", media_type=MediaType.TEXT)
async def change(request: AnyRequest) -> str:
    session = request.session
    session["count"] += 1
    return seen(session)


@get("/show")
async def show(request: AnyRequest) -> dict[str, Any]:
    return dict(request.session)


HANDLERS = (begin, read, change, show)


class LitestarBare(KeptInMemory):
    name = "Litestar, no sessions"
    description = "Litestar without session middleware; request.session is a dict of the benchmark's, kept in memory"

    def _make_app(self) -> ASGIApp:
        app: Any = Litestar(HANDLERS, openapi_config=None, logging_config=None)
        return app  # type: ignore[no-any-return]


class LitestarSessions(AsgiRequests):
    name = "Litestar"
    description = (
        "Litestar with ServerSideSessionConfig().middleware and stores={'sessions': RedisStore(client)} as its "
        "documentation shows them, on one redis.asyncio client with max_connections above the tasks"
    )
    most_operations = 1000

    def _make_app(self) -> ASGIApp:
        self._client = Redis.from_url(self.redis_url, max_connections=MOST_CONNECTIONS)
        store = RedisStore(self._client, namespace=f"{self.key_prefix}LITESTAR")
        app: Any = Litestar(
            HANDLERS,
            openapi_config=None,
            logging_config=None,  # it would set up logging for the whole process
            middleware=[ServerSideSessionConfig().middleware],
            stores={"sessions": store},
        )
        return app  # type: ignore[no-any-return]

    async def close(self) -> None:
        await self._client.aclose()
