"""The public API as an app's author writes against it. Never run: mypy and pyright read it."""

from typing import Any, assert_type

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from chirp.errors import ChirpError, ConfigurationError, SessionError, StoreUnavailable
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    CookieSessionStore,
    MemorySessionStore,
    RedisSessionStore,
    SessionConfig,
    SessionMiddleware,
    SessionStore,
    get_session,
    regenerate_session,
    rotate_session,
)

config = SessionConfig(secret_key="k" * 32, max_age=3600, secure="auto", idle_timeout_seconds=None)
assert_type(config.max_age, int)
assert_type(config.store, SessionStore | None)

stores: list[SessionStore] = [
    CookieSessionStore(config),
    MemorySessionStore(config),
    RedisSessionStore(config, "redis://127.0.0.1:6379/0", key_prefix="app:session:"),
]
middleware = SessionMiddleware(SessionConfig(secret_key="k" * 32, store=stores[2]))
app = Starlette(middleware=[Middleware(ASGISessionMiddleware, config=config)])


def handler() -> dict[str, Any]:
    session: dict[str, Any] = get_session()
    session["user_id"] = 7
    fresh: dict[str, Any] = regenerate_session()
    rotate_session()
    rotate_session(follow=True)
    return fresh


async def script(request: Request, response: Response) -> Response:
    store = RedisSessionStore(config)
    session = await store.load(request)
    session["seen"] = True
    try:
        return await store.save(response, session, regenerate_old_id=None)
    except StoreUnavailable as error:
        as_session_error: SessionError = error
        as_chirp_error: ChirpError = as_session_error
        raise ConfigurationError from as_chirp_error


class OwnStore:
    """A store of the app's own needs no base class."""

    async def load(self, request: Any) -> dict[str, Any]:
        return {}

    async def save(self, response: Any, session: dict[str, Any], *, regenerate_old_id: str | None = None) -> Any:
        return response


own: SessionStore = OwnStore()
