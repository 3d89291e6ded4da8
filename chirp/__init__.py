"""chirp: sessions for async Python web apps, on Redis or in a signed cookie, and the thin app that hosts them."""

from starlette.requests import Request
from starlette.responses import Response

from chirp.app import App
from chirp.errors import (
    ChirpError,
    ConfigurationError,
    SessionClosed,
    SessionError,
    SessionLimitReached,
    SessionNotSerializable,
    SessionTooLarge,
    StoreUnavailable,
)
from chirp.middleware.sessions import (
    ASGISessionMiddleware,
    CookieSessionStore,
    MemorySessionStore,
    RedisSessionStore,
    Session,
    SessionConfig,
    SessionInfo,
    SessionMiddleware,
    SessionStore,
    get_session,
    regenerate_session,
    rotate_session,
)

__all__ = [
    "ASGISessionMiddleware",
    "App",
    "ChirpError",
    "ConfigurationError",
    "CookieSessionStore",
    "MemorySessionStore",
    "RedisSessionStore",
    "Request",
    "Response",
    "Session",
    "SessionClosed",
    "SessionConfig",
    "SessionError",
    "SessionInfo",
    "SessionLimitReached",
    "SessionMiddleware",
    "SessionNotSerializable",
    "SessionStore",
    "SessionTooLarge",
    "StoreUnavailable",
    "get_session",
    "regenerate_session",
    "rotate_session",
]
