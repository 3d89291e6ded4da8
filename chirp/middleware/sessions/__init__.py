"""Sessions for async Python web apps, on Redis or in a signed cookie."""

from chirp.middleware.sessions.asgi import ASGISessionMiddleware
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie_store import CookieSessionStore
from chirp.middleware.sessions.current import get_session, regenerate_session, rotate_session
from chirp.middleware.sessions.directory import SessionInfo
from chirp.middleware.sessions.memory_store import MemorySessionStore
from chirp.middleware.sessions.middleware import SessionMiddleware
from chirp.middleware.sessions.redis_store import RedisSessionStore
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import SessionStore

__all__ = [
    "ASGISessionMiddleware",
    "CookieSessionStore",
    "MemorySessionStore",
    "RedisSessionStore",
    "Session",
    "SessionConfig",
    "SessionInfo",
    "SessionMiddleware",
    "SessionStore",
    "get_session",
    "regenerate_session",
    "rotate_session",
]
