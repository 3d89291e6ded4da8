"""The session as a dependency of FastAPI: `session: CurrentSession`. Needs fastapi; `import chirp` does not load it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.session import Session

__all__ = ["CurrentSession", "session_as"]


# A coroutine, for FastAPI runs plain functions in a thread.
async def _session_of(connection: HTTPConnection) -> Session:
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise ConfigurationError(
            "there is no session of chirp here: add app.add_middleware(ASGISessionMiddleware, config=config), take the "
            "path out of exclude_paths, and remove other session middlewares"
        )
    session.accessed = True
    return session


CurrentSession = Annotated[Session, Depends(_session_of)]
"""The session of the request or WebSocket, as a parameter's type; the response varies with the cookie.

Raises:
    ConfigurationError: `ASGISessionMiddleware` is not around the app, or the path is excluded from sessions.
"""

T = TypeVar("T")


def session_as(model: type[T]) -> Callable[[Session], Awaitable[T]]:
    """Return a dependency that gives the session as an object: `Annotated[Shop, Depends(session_as(Shop))]`.

    Args:
        model: the class that `SessionConfig.model` names; see `Session.typed`.
    """

    async def typed(session: CurrentSession) -> T:
        return session.typed(model)

    return typed
