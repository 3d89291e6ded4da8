"""What both fronts share: which store, which paths, what caches are told, and the answer while the store is out."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, Response

from chirp.errors import ConfigurationError, SessionNotSerializable
from chirp.middleware.sessions.codec import encode_data
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import CookieChange, SetCookie
from chirp.middleware.sessions.cookie_store import CookieSessionStore
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import SessionStore

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1
RETRY_AFTER_SECONDS = 5
NEVER_CACHED = "no-store, private"
MAY_DIFFER = ("secret_key", "store")  # between a middleware's config and its store's

log = logging.getLogger("chirp.sessions")


def store_of(config: SessionConfig) -> SessionStore:
    """Return the store that a config names.

    Raises:
        ConfigurationError: the store was made with other settings, so cookie and store would disagree.
    """
    if config.store is None:
        return CookieSessionStore(config)
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


def is_public(headers: MutableHeaders) -> bool:
    """Tell whether the handler let shared caches keep the response (RFC 9111, section 5.2.2)."""
    values = headers.getlist("cache-control")
    directives = {part.strip().partition("=")[0].lower() for value in values for part in value.split(",")}
    return not directives.isdisjoint({"public", "s-maxage"})


def sets_cookie(headers: MutableHeaders, name: str) -> bool:
    """Tell whether a store of others has set the session's cookie."""
    return any(value.partition("=")[0] == name for value in headers.getlist("set-cookie"))


def headers_for(session: Session, cookie: SetCookie | None) -> list[tuple[str, str]]:
    """Return the headers that set the cookie and tell caches what the response depends on."""
    headers = []
    if cookie is not None:
        headers.append(("Set-Cookie", cookie.header))
        if cookie.change is not CookieChange.SLIDE:
            headers.append(("Cache-Control", NEVER_CACHED))
    if cookie is not None or session.accessed:
        headers.append(("Vary", "Cookie"))
    return headers


def mark(headers: MutableHeaders, session: Session, cookie: SetCookie | None) -> None:
    """Add `headers_for` a response, in place of what would contradict them."""
    for name, value in headers_for(session, cookie):
        if name == "Cache-Control":
            headers[name] = value
        elif name == "Set-Cookie" or not _varies_by_cookie(headers):
            headers.append(name, value)


def _varies_by_cookie(headers: MutableHeaders) -> bool:
    fields = {part.strip().lower() for value in headers.getlist("vary") for part in value.split(",")}
    return not fields.isdisjoint({"cookie", "*"})


def unavailable(method: str | None, *, handled: bool) -> Response:
    """Return the 503 for a store that is out.

    Args:
        method: of the request.
        handled: the handler has run, so only a safe request may simply be repeated.
    """
    headers = {"Cache-Control": "no-store"}
    if not handled or method in SAFE_METHODS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return PlainTextResponse("Sessions are unavailable at the moment.\n", status_code=503, headers=headers)


def warn_if_changed_late(session: Session) -> None:
    """Log a nested change that was made after the session had been committed, and so is lost."""
    if session._committed is None:
        return
    try:
        changed = encode_data(session) != session._committed
    except SessionNotSerializable:  # what cannot be encoded now was changed, too
        changed = True
    if changed:
        log.warning(
            "session %s was changed inside a value after the response had started; the change is lost", session.handle
        )


def route_path(scope: Mapping[str, Any]) -> str:
    """Return the path as routes see it: without the `root_path` of a mount or a proxy."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    inside = root and path.startswith(root) and path[len(root) :].startswith("/")
    return path[len(root) :] if inside else path
