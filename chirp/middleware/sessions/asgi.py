"""`ASGISessionMiddleware`: sessions for Starlette, FastAPI, Litestar and any other ASGI app, as `scope["session"]`."""

import logging

from starlette.middleware import sessions as starlettes_sessions
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chirp.errors import ConfigurationError, SessionLimitReached, StoreUnavailable
from chirp.middleware.protocol import SESSION_EXCLUDED
from chirp.middleware.sessions.about import client_of
from chirp.middleware.sessions.adoption import Adoption, migration_of
from chirp.middleware.sessions.closing import closing_ended
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.fronts import (
    STARTS,
    VARY,
    ExcludedPaths,
    limit_reached,
    look_through,
    mark,
    route_path,
    store_of,
    unavailable,
    warn_if_changed_late,
)
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import HTTPS_SCHEMES, BuiltInStore
from chirp.middleware.sessions.telemetry import outage, refusal

CLOSINGS = {503: (1013, "sessions are unavailable"), 409: (1008, "too many sessions")}  # codes of IANA's registry

REPLACED_BY_LITESTAR = (
    'scope["session"] was replaced: set_session, clear_session and session middlewares of Litestar cannot be used with '
    "ASGISessionMiddleware; change the session, as in request.session.update(...) or request.session.clear()"
)
REPLACED = (
    'scope["session"] was replaced by a plain dict or deleted, which is not stored: change the session, as in '
    "request.session.update(...) or request.session.clear(); if a session middleware of a mounted app did it, put the "
    "path into exclude_paths"
)
# Before it had a class for them, Starlette's own middleware, which a mounted app may have, put plain dicts there.
PLAIN_DICTS_ARE_ASSIGNED = hasattr(starlettes_sessions, "Session")

log: logging.Logger = logging.getLogger("chirp.sessions")


class ASGISessionMiddleware:
    """Fills `scope["session"]`, so that `request.session` works; `get_session()` works as well.

    The session is stored when the response starts. A change of a top-level key after that raises `SessionClosed`.
    Add it with the framework's `add_middleware`, so that it runs inside what turns unhandled exceptions into 500s:
    from outside, such a 500 is a response like any other, and the session is stored. Inside another one with the same
    `cookie_name`, as in a mounted app, it leaves the session to the outer one.
    A plain dict that the app has put into `scope["session"]` would be lost: the response is a `RuntimeError` then.

    Args:
        app: the ASGI app inside.
        config: the settings; `config.store` must be one of this package's stores or have its `open` and `commit`.

    Raises:
        ConfigurationError: at construction, for a store that does not fit the config or this front.
    """

    def __init__(self, app: ASGIApp, config: SessionConfig) -> None:
        self.config = config
        store = store_of(config)
        if not isinstance(store, BuiltInStore):
            raise ConfigurationError(
                f"store is a {type(store).__qualname__} with load and save only: ASGISessionMiddleware needs a "
                "BuiltInStore (open and commit); use SessionMiddleware with chirp.App, or derive the store from one"
            )
        self.store: BuiltInStore = store
        self.app: ASGIApp = closing_ended(app, store)
        self._records_client = config.record_client
        self._excluded = ExcludedPaths(config.exclude_paths) if config.exclude_paths else None
        self._migration = migration_of(config, store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            lifespan = scope["type"] == "lifespan"
            await self.app(scope, receive, self._closing_store(send) if lifespan else send)
            return
        if self._excluded is not None and route_path(scope) in self._excluded:
            scope[SESSION_EXCLUDED] = True
            await self.app(scope, receive, send)
            return
        if "session" in scope and self._is_shared(scope["session"]):
            await self.app(scope, receive, send)
            return
        ending: BuiltInStore | Adoption = self.store
        try:
            cookie = self.store.cookie_reader.read(scope["headers"])
            session = await self.store.open(cookie, scope.get("scheme") in HTTPS_SCHEMES)
            if self._records_client:
                session._client = client_of(scope["headers"], scope.get("client"))
            if self._migration is not None:
                adoption = await self._migration.of_headers(session, scope["headers"])
                if adoption is not None:
                    ending, send = adoption, adoption.sending(send)
        except StoreUnavailable as error:
            log.warning("store unavailable, the request is refused: %s", error, extra=outage(error.session))
            await _refuse(scope, receive, send, unavailable(scope.get("method"), handled=False))
            return
        scope["session"] = session
        token = current_session.set(session)
        response = _Response(ending, session, scope, receive, send)
        try:
            await self.app(scope, receive, response.send)
        except StoreUnavailable as error:  # of what the handler asked the store for itself, such as a user's sessions
            await response.fail(error)
        finally:
            current_session.reset(token)
        if session._lent:
            warn_if_changed_late(self.store, session)

    def _is_shared(self, outer: object) -> bool:
        """Whether a middleware around this one has filled the session of the same cookie.

        Two sessions would each set it, and the browser would keep one of them.
        """
        store = outer._saver if isinstance(outer, Session) else None
        return isinstance(store, BuiltInStore) and store.config.cookie_name == self.config.cookie_name

    def _closing_store(self, send: Send) -> Send:
        """Return a `send` that closes what the store opened on this loop, once the app has shut down."""

        async def send_closing(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self.store.aclose()
            await send(message)

        return send_closing


class _Response:
    """One request's way out: its `send` stores the session when the response starts.

    A class and not a function with what it encloses: every request in flight has one, and that would be one object
    more for each name, which the garbage collector looks through.
    """

    __slots__ = ("_outer_send", "_receive", "_replaced", "_scope", "_session", "_started", "_store")

    def __init__(
        self, store: BuiltInStore | Adoption, session: Session, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._store = store
        self._session = session
        self._scope = scope
        self._receive = receive
        self._outer_send = send
        self._started = False
        self._replaced = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        send = self._outer_send
        if self._started or message["type"] not in STARTS:
            await send(message)
            return
        session = self._session
        if self._scope.get("session") is not session and (lost := _why_lost(self._scope)):
            self._started = session._closed = True  # the 500 that comes of it stores nothing
            raise RuntimeError(lost)
        # Set first: if the session cannot be stored, an error handler inside may still send its own response.
        self._started = session._closed = session._started = True
        message["headers"] = headers = list(message.get("headers", ()))  # any iterable, says ASGI
        public, varies = look_through(headers)
        session._slides = not public
        try:
            cookie = await self._store.commit(session, self._store.clock()) or session._cookie
        except StoreUnavailable as error:
            await self._replace(error)
            return
        except SessionLimitReached as error:
            self._replaced = True
            log.info("a login is refused: %s", error, extra=refusal())
            await _refuse(self._scope, self._receive, send, limit_reached(session._cookie))
            return
        if cookie is not None:
            mark(headers, session, cookie, varies=varies)
        elif session.accessed and not varies:
            headers.append(VARY)
        await send(message)

    async def fail(self, error: StoreUnavailable) -> None:
        """Send a 503 in place of the app's response; raise the error if that one has started."""
        if self._started:
            raise error
        self._started = self._session._closed = self._session._started = True
        await self._replace(error)

    async def _replace(self, error: StoreUnavailable) -> None:
        self._replaced = True
        log.warning("store unavailable, the response is replaced: %s", error, extra=outage(error.session))
        answer = unavailable(self._scope.get("method"), handled=True, saved=self._session._cookie)
        await _refuse(self._scope, self._receive, self._outer_send, answer)


def _why_lost(scope: Scope) -> str | None:
    """Return why nobody stores what is in the session's place; None if it may be another middleware's session."""
    if "litestar_app" in scope and not hasattr(scope.get("route_handler"), "is_mount"):  # but for an app mounted there
        return REPLACED_BY_LITESTAR
    found = scope.get("session")
    # starsessions has plain dicts, and its handler beside them.
    assigned = type(found) is dict and PLAIN_DICTS_ARE_ASSIGNED and "session_handler" not in scope
    return REPLACED if assigned or found is None else None


async def _refuse(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Send a response in place of the app's; a WebSocket is closed where the server cannot send one."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        code, reason = CLOSINGS[response.status_code]
        await send({"type": "websocket.close", "code": code, "reason": reason})
        return
    await response(scope, receive, send)
