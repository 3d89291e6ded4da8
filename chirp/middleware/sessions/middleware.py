"""`SessionMiddleware`: sessions as a chirp-style middleware, `async (request, next) -> response`."""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chirp.errors import SessionLimitReached, StoreUnavailable
from chirp.middleware.protocol import SESSION_EXCLUDED, AnyResponse, Next
from chirp.middleware.sessions.adapter import DictStoreAdapter
from chirp.middleware.sessions.adoption import Adoption, migration_of
from chirp.middleware.sessions.closing import connections_of, ending
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.fronts import (
    NEVER_CACHED,
    ExcludedPaths,
    headers_for,
    limit_reached,
    look_through,
    mark,
    route_path,
    sets_cookie,
    store_of,
    unavailable,
    warn_if_changed_late,
)
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore, SessionStore, add_header, scope_of
from chirp.middleware.sessions.telemetry import outage, refusal
from chirp.middleware.streaming import keep_context, own_copy

log: logging.Logger = logging.getLogger("chirp.sessions")


class SessionMiddleware:
    """Loads the session before the handler and stores it when the handler has returned its response.

    A handler that raises leaves the stored session as it was; in `chirp.App` an `HTTPException` is a response by
    then. While the response's body is sent the session can be read, and not changed.

    Args:
        config: the settings; a store with `load` and `save` alone works as well.

    Raises:
        ConfigurationError: at construction, for a store that does not fit the config.
    """

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self.store: SessionStore = store_of(config)
        self._excluded = ExcludedPaths(config.exclude_paths) if config.exclude_paths else None
        self._migration = migration_of(config, self.store)
        self._adapter = DictStoreAdapter(self.store, config)
        self._connections = connections_of(self.store)

    async def __call__(self, request: Request, next: Next) -> AnyResponse:  # noqa: A002 - the contract's name
        scope = scope_of(request)
        if self._excluded is not None and _path_of(request) in self._excluded:
            if scope is not None:
                scope[SESSION_EXCLUDED] = True
            return await next(request)
        try:
            session = await self._open(request)
            adoption = None if self._migration is None else await self._migration.of_request(session, request)
        except StoreUnavailable as error:
            log.warning("store unavailable, the request is refused: %s", error, extra=outage(error.session))
            return unavailable(getattr(request, "method", None), handled=False)
        if scope is not None:
            scope["session"] = session
        token = current_session.set(session)
        try:
            try:
                response = await next(request)
            finally:
                current_session.reset(token)
            session._closed = session._started = True
            response = await self._store(response, session, adoption)
        except StoreUnavailable as error:  # also of what the handler asked the store for itself: a user's sessions, say
            log.warning("store unavailable, the response is replaced: %s", error, extra=outage(error.session))
            return unavailable(getattr(request, "method", None), handled=True, saved=session._cookie)
        except SessionLimitReached as error:
            log.info("a login is refused: %s", error, extra=refusal())
            answer = limit_reached(session._cookie)
            return answer if adoption is None else adoption.marked(answer)
        if self._connections is not None:
            response = ending(response, self._connections, session)
        return keep_context(
            response, current_session, session, on_end=lambda: warn_if_changed_late(self.store, session)
        )

    async def aclose(self) -> None:
        """Close what the store opened on this event loop; the app's shutdown calls it."""
        if self._connections is not None:
            await self._connections.aclose()
        close = getattr(self.store, "aclose", None)
        if close is not None:
            await close()

    async def _open(self, request: Request) -> Session:
        if isinstance(self.store, BuiltInStore):
            return await self.store.load(request)
        return await self._adapter.open(request)

    async def _store(self, response: AnyResponse, session: Session, adoption: Adoption | None) -> AnyResponse:
        if not isinstance(self.store, BuiltInStore):
            return await self._store_adapted(own_copy(response), session)
        public, varies = look_through(response.raw_headers) if isinstance(response, Response) else (False, False)
        session._slides = not public
        committing = self.store if adoption is None else adoption
        cookie = await committing.commit(session, committing.clock()) or session._cookie
        if cookie is not None or (session.accessed and not varies):
            response = _marked(own_copy(response), session, cookie, varies=varies)
        return response if adoption is None else adoption.marked(response)

    async def _store_adapted(self, response: AnyResponse, session: Session) -> AnyResponse:
        response = await self._adapter.save(response, session)
        varies = False
        if isinstance(response, Response):
            varies = look_through(response.raw_headers)[1]
            if sets_cookie(response.raw_headers, self.config.cookie_name):
                response.headers["Cache-Control"] = NEVER_CACHED[1].decode("ascii")
                session.accessed = True
        return _marked(response, session, None, varies=varies)


def _marked(response: AnyResponse, session: Session, cookie: SetCookie | None, *, varies: bool) -> AnyResponse:
    """Return the response with what it needs for the session; Starlette's is changed in place."""
    if isinstance(response, Response):
        mark(response.raw_headers, session, cookie, varies=varies)
        return response
    for name, value in headers_for(session, cookie):
        response = add_header(response, name.decode("ascii").title(), value.decode("latin-1"))
    return response


def _path_of(request: Any) -> str:
    scope = scope_of(request)
    if scope is not None and "path" in scope:
        return route_path(scope)
    path = getattr(request, "path", None) or getattr(getattr(request, "url", None), "path", None)
    return path if isinstance(path, str) else ""
