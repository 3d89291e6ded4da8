"""What both fronts share: which store, which paths, what caches are told, and the answer while the store is out."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from starlette.responses import PlainTextResponse, Response

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import CookieChange, SetCookie
from chirp.middleware.sessions.cookie_store import CookieSessionStore
from chirp.middleware.sessions.directory import DirectoryStore
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore, SessionStore

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
RETRY_AFTER_SECONDS = 5
# The messages that carry response headers: only before them can a session still be stored and its cookie be set.
STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
NEVER_CACHED = (b"cache-control", b"no-store, private")
VARY = (b"vary", b"Cookie")
PUBLIC = frozenset({b"public", b"s-maxage"})
VARIES = frozenset({b"cookie", b"*"})
MAY_DIFFER = ("secret_key", "store", "predecessors")  # between a middleware's config and its store's

# As ASGI has them, names in lower case. Looked through as they are: Starlette's views of them, which this would
# otherwise be written with, cost more per request than the whole session does.
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

log: logging.Logger = logging.getLogger("chirp.sessions")


def store_of(config: SessionConfig) -> SessionStore:
    """Return the store that a config names.

    Raises:
        ConfigurationError: the store was made with other settings, so cookie and store would disagree.
    """
    if config.max_sessions_per_user is not None and not isinstance(config.store, DirectoryStore):
        raise ConfigurationError(
            f"max_sessions_per_user={config.max_sessions_per_user}: only a server-side store of this package knows a "
            "user's sessions; use RedisSessionStore or MemorySessionStore, or leave it None"
        )
    if config.close_ended and not isinstance(config.store, DirectoryStore):
        raise ConfigurationError(
            "close_ended=True: only a server-side store of this package tells when a session ends; use "
            "RedisSessionStore or MemorySessionStore, or leave it False"
        )
    if config.store is None:
        return CookieSessionStore(config)
    if config.model is not None and not isinstance(config.store, BuiltInStore):
        raise ConfigurationError(
            f"model={config.model.__qualname__}: a store that has load and save alone keeps plain dicts; use a store "
            "of this package, or derive yours from BuiltInStore"
        )
    other = getattr(config.store, "config", None)
    if isinstance(other, SessionConfig):
        for name in SessionConfig.__slots__:
            mine, theirs = getattr(config, name), getattr(other, name)
            if name not in MAY_DIFFER and mine != theirs:
                values = "" if name == "fallback_secret_keys" else f": {mine!r} here, {theirs!r} in the store"
                raise ConfigurationError(
                    f"{name} differs between the middleware's config and its store's{values}; make both from one: "
                    "dataclasses.replace(config, store=RedisSessionStore(config, url))"
                )
    return config.store


class ExcludedPaths:
    """Tells whether a path lies under one of the prefixes, by whole segments."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._whole = frozenset(prefixes)
        self._below = tuple(prefix if prefix.endswith("/") else prefix + "/" for prefix in prefixes)

    def __contains__(self, path: str) -> bool:
        return path in self._whole or path.startswith(self._below)


def look_through(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bool, bool]:
    """Find out what a response tells caches.

    Returns:
        Whether the handler let shared caches keep it (RFC 9111, section 5.2.2), and whether it varies by cookie.
    """
    public = varies = False
    for name, value in headers:
        if name == b"vary":
            varies = varies or _lists(value, VARIES)
        elif name == b"cache-control":
            public = public or _lists(value, PUBLIC)
    return public, varies


def _lists(value: bytes, wanted: frozenset[bytes]) -> bool:
    """Tell whether a comma-separated header has one of the fields, with or without an argument."""
    return any(part.partition(b"=")[0].strip().lower() in wanted for part in value.split(b","))


def sets_cookie(headers: RawHeaders, name: str) -> bool:
    """Tell whether a store of others has set the session's cookie."""
    start = name.encode("ascii") + b"="
    return any(field == b"set-cookie" and value.startswith(start) for field, value in headers)


def headers_for(session: Session, cookie: SetCookie | None) -> RawHeaders:
    """Return the headers that set the cookie and tell caches what the response depends on."""
    headers = []
    if cookie is not None and cookie.change is CookieChange.SLIDE and not session._slides:
        cookie = None  # of an early save, before it was known that shared caches may keep the response
    if cookie is not None:
        headers.append((b"set-cookie", cookie.header.encode("latin-1")))
        if cookie.change is not CookieChange.SLIDE:
            headers.append(NEVER_CACHED)
    if cookie is not None or session.accessed:
        headers.append(VARY)
    return headers


def mark(headers: RawHeaders, session: Session, cookie: SetCookie | None, *, varies: bool) -> None:
    """Add `headers_for` a response to its headers, in place of what would contradict them.

    Args:
        headers: changed in place.
        session: of the request.
        cookie: what the store gave.
        varies: the headers say already that it varies by cookie.
    """
    for header in headers_for(session, cookie):
        if header is NEVER_CACHED:
            headers[:] = [other for other in headers if other[0] != b"cache-control"]
        if header is not VARY or not varies:
            headers.append(header)


def unavailable(method: str | None, *, handled: bool, saved: SetCookie | None = None) -> Response:
    """Return the 503 for a store that is out.

    Args:
        method: of the request.
        handled: the handler has run, so only a safe request may simply be repeated.
        saved: the cookie of what the handler has saved before; without it the browser would be logged out.
    """
    headers = {"Cache-Control": "no-store"}
    if not handled or method in SAFE_METHODS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if saved is not None:
        headers["Set-Cookie"] = saved.header
    return PlainTextResponse("Sessions are unavailable at the moment.\n", status_code=503, headers=headers)


def limit_reached(saved: SetCookie | None) -> Response:
    """Return the 409 for a login that is one too many (RFC 9110, section 15.5.10).

    Args:
        saved: see `unavailable`.
    """
    text = "You are signed in on as many devices as is allowed. Sign out on one of them first.\n"
    headers = {"Cache-Control": "no-store"}
    if saved is not None:
        headers["Set-Cookie"] = saved.header
    return PlainTextResponse(text, status_code=409, headers=headers)


def warn_if_changed_late(store: SessionStore, session: Session) -> None:
    """Log a nested change that was made after the session had been committed, and so is lost."""
    if isinstance(store, BuiltInStore) and store.changed_since_commit(session):
        log.warning(
            "session %s was changed inside a value after the response had started; the change is lost", session.handle
        )


def route_path(scope: Mapping[str, Any]) -> str:
    """Return the path as routes see it: without the `root_path` of a mount or a proxy."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    inside = root and path.startswith(root) and path[len(root) :].startswith("/")
    return path[len(root) :] if inside else path
