"""Connections that are closed when their session ends: WebSockets and streamed responses.

What the app sends after that goes nowhere, and what it waits for is told that the client is gone, as if it were.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

from anyio import CancelScope
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chirp.middleware.protocol import AnyResponse
from chirp.middleware.sessions.connections import Open, OpenConnections
from chirp.middleware.sessions.directory import DirectoryStore
from chirp.middleware.sessions.per_loop import PerLoop
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore, SessionStore
from chirp.middleware.streaming import own_copy

LEAVE_SECONDS = 1.0  # in which a WebSocket's handler may end by itself
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1: the endpoint ends what its rules do not allow any more
REASON = "the session has ended"
EVENTS = b"text/event-stream"
GONE = ("websocket.disconnect", "http.disconnect")


def closing_ended(app: ASGIApp, store: BuiltInStore) -> ASGIApp:
    """Return the app with its connections closed when their session ends, where the store's config asks for that."""
    connections = connections_of(store)
    return app if connections is None else ClosingEnded(app, connections)


def connections_of(store: SessionStore) -> PerLoop[OpenConnections] | None:
    """Return the open connections of a store, of each event loop; None where its config does not have them closed."""
    if not isinstance(store, DirectoryStore) or not store.config.close_ended:
        return None
    return PerLoop(lambda: OpenConnections(store), lambda connections: connections.aclose())


def ending(response: AnyResponse, connections: PerLoop[OpenConnections], session: Session) -> AnyResponse:
    """Return a response whose body, where it is streamed, ends when the session does."""
    body = getattr(response, "body_iterator", None)
    if body is None or not isinstance(response, Response):
        return response
    kept = own_copy(response)
    events = are_events(response.raw_headers)
    kept.body_iterator = EndingBody(body, connections.get(), session, events=events)  # type: ignore[attr-defined]
    return kept


class ClosingEnded:
    """An ASGI app whose connections are closed when their session, `scope["session"]`, ends.

    Args:
        app: the app inside.
        connections: of the store.
    """

    def __init__(self, app: ASGIApp, connections: PerLoop[OpenConnections]) -> None:
        self._app = app
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope.get("session")
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
            return
        if not isinstance(session, Session):  # a path without sessions
            await self._app(scope, receive, send)
            return
        await _Connection(self._connections.get(), session, receive, send).run(self._app, scope)

    def _closing(self, send: Send) -> Send:
        """Return a `send` that stops watching on this loop, once the app has shut down."""

        async def send_closing(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._connections.aclose()
            await send(message)

        return send_closing


class _Closable(ABC):
    """What is open of one request, and closed when its session ends."""

    def __init__(self, connections: OpenConnections, session: Session) -> None:
        self._connections = connections
        self._session = session
        self._open: Open | None = None
        self._ended = False

    def _enter(self) -> None:
        """Have it closed from now on; nothing where it is already, or was closed."""
        if self._open is None and not self._ended:
            self._open = self._connections.add(self._session, self._end)

    def _leave(self) -> None:
        """Have it closed no more."""
        if self._open is not None:
            self._connections.discard(self._open)
            self._open = None

    def _end(self) -> None:
        self._open = None
        self._ended = True
        self._close()

    @abstractmethod
    def _close(self) -> None:
        """Make what runs inside stop."""


class _Connection(_Closable):
    """One request, from its start to its end."""

    def __init__(self, connections: OpenConnections, session: Session, receive: Receive, send: Send) -> None:
        super().__init__(connections, session)
        self._outer_receive = receive
        self._outer_send = send
        self._is_socket = False
        self._events = False
        self._app = CancelScope()
        self._waiting: set[CancelScope] = set()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        self._is_socket = scope["type"] == "websocket"
        try:
            with self._app:
                await app(scope, self.receive, self.send)
        finally:
            self._leave()
            if self._ended:
                with contextlib.suppress(OSError):  # ASGI 2.4: the client has gone itself meanwhile
                    await self._say_good_bye()

    async def receive(self) -> Message:
        if not self._ended:
            with CancelScope() as waiting:
                self._waiting.add(waiting)
                try:
                    message = await self._outer_receive()
                finally:
                    self._waiting.discard(waiting)
                if message["type"] in GONE:
                    self._leave()  # there is nothing to close, and what the app does now is its own
                return message
        if self._is_socket:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": REASON}
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._ended:
            raise OSError(f"{REASON}, and with it this connection")  # ASGI 2.4: as for a client that is gone
        kind = message["type"]
        if kind == "http.response.start":
            self._events = are_events(message.get("headers", ()))
        opens = kind == "websocket.accept" or (kind == "http.response.body" and message.get("more_body", False))
        if kind in ("websocket.close", "http.response.body") and not opens:
            self._leave()  # before it is sent: an end that comes meanwhile must not close it again
        await self._outer_send(message)
        if opens:
            self._enter()

    def _close(self) -> None:
        for waiting in self._waiting:
            waiting.cancel()
        if self._is_socket:
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._app.cancel)
        else:
            self._app.cancel()

    async def _say_good_bye(self) -> None:
        if self._is_socket:
            await self._outer_send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": REASON})
        elif self._events:
            await self._outer_send({"type": "http.response.body", "body": b"", "more_body": False})
        # Any other body stays incomplete, so that nobody takes it for whole.


class EndingBody(_Closable, AsyncIterator[Any]):
    """A streamed body that ends when its session does.

    Args:
        body: the body inside.
        connections: of the event loop.
        session: of the request.
        events: the body is Server-Sent Events, and ends as if whole; any other one fails.
    """

    def __init__(
        self, body: AsyncIterable[Any], connections: OpenConnections, session: Session, *, events: bool
    ) -> None:
        super().__init__(connections, session)
        self._steps = aiter(body)
        self._events = events
        self._step = CancelScope()

    async def __anext__(self) -> Any:
        self._enter()
        if not self._ended:
            with CancelScope() as self._step:
                try:
                    return await anext(self._steps)
                except BaseException:  # its end, a failure or a cancellation: no further step comes
                    self._leave()
                    raise
        await self.aclose()
        if self._events:
            raise StopAsyncIteration
        raise OSError(f"{REASON}, and with it this response")

    async def aclose(self) -> None:
        """Close the body inside."""
        self._leave()
        close = getattr(self._steps, "aclose", None)
        if close is not None:
            await close()

    def _close(self) -> None:
        self._step.cancel()


def are_events(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether headers announce Server-Sent Events."""
    return any(name.lower() == b"content-type" and value.startswith(EVENTS) for name, value in headers)
