"""Open WebSockets and streams, and the end of the sessions that they belong to.

A message of the store tells of an end at once. Messages can be missed: while nobody listens yet, while the connection
to the store breaks, where a user may not publish. So what is open is also looked up now and then, and whenever
listening begins anew; that finds sessions that have expired, too. A store that does not answer closes nothing.
"""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import telemetry
from chirp.middleware.sessions.codec import read_tombstone
from chirp.middleware.sessions.directory import DirectoryStore, NextHandle, in_pieces
from chirp.middleware.sessions.session import Session

RECHECK_SECONDS = 10.0  # at the latest after so long an end that no message told of is found
PAUSE_SECONDS = 1.0  # from one attempt to listen to the next

log: logging.Logger = logging.getLogger("chirp.sessions")


@dataclass(eq=False, slots=True)
class Open:
    """One open connection.

    Attributes:
        session: its session.
        handle: of the session.
        key: where the session was last known to be.
        close: called once, when the session has ended.
    """

    session: Session
    handle: str
    key: str
    close: Callable[[], None]


class OpenConnections:
    """The open connections of one event loop.

    Args:
        store: tells of ends, and is asked for sessions.
    """

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self._open: dict[str, set[Open]] = {}
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def add(self, session: Session, close: Callable[[], None]) -> Open | None:
        """Have a function called when the session ends; None where there is no stored session that could."""
        if session.id is None:
            return None
        connection = Open(session, session.handle, self._store._key_of(session), close)
        self._open.setdefault(connection.handle, set()).add(connection)
        if self._watching is None or self._watching.done():
            # An empty context: it outlives the request that happens to start it.
            self._watching = asyncio.get_running_loop().create_task(self._watch(), context=contextvars.Context())
        return connection

    def discard(self, connection: Open) -> None:
        """Forget a connection that has been closed otherwise."""
        those = self._open.get(connection.handle, set())
        those.discard(connection)
        if not those:
            self._open.pop(connection.handle, None)

    async def aclose(self) -> None:
        """Stop watching; what is open stays open."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def _watch(self) -> None:
        """Close what has ended, for as long as there is something open."""
        told = False
        while self._open:
            try:
                async with self._store._listen() as next_handle:
                    told = False
                    await self._listen(next_handle)
            except StoreUnavailable as error:
                if not told:
                    log.warning("nobody tells of ended sessions at the moment: %s", error, extra=telemetry.outage(None))
                told = True
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception:
                log.exception("watching for ended sessions failed unexpectedly")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self, next_handle: NextHandle) -> None:
        now = asyncio.get_running_loop().time
        check_at = now()  # at once: nobody was told of what has ended meanwhile
        while self._open:
            if now() >= check_at:
                await self._close_expired()
                check_at = now() + RECHECK_SECONDS
            handle = await next_handle(max(check_at - now(), 0.0))
            if handle is not None:
                self._close(list(self._open.get(handle, ())))

    async def _close_expired(self) -> None:
        """Look up what is open, and close what has ended."""
        for some in in_pieces([each for those in self._open.values() for each in those]):
            values = await self._store._read_all([each.key for each in some])
            found = [await self._is_live(each, value) for each, value in zip(some, values, strict=True)]
            self._close([each for each, is_live in zip(some, found, strict=True) if not is_live])

    async def _is_live(self, connection: Open, value: bytes | None) -> bool:
        """Tell whether the session lives, where it was or where rotations have led it since."""
        store, key, seen = self._store, connection.key, set()
        while value is not None and key not in seen:
            seen.add(key)  # tombstones that somebody planted may lead in a circle
            tombstone = read_tombstone(value)
            if tombstone is None:
                info = store._info_of(key, value, store.clock(), "")
                connection.key = key
                return info is not None and info.handle == connection.handle
            if tombstone.successor is None:
                return False
            key = store.key_prefix + tombstone.successor
            (value,) = await store._read_all([key])
        # Gone; or rotated so long ago that its tombstone is, too. A user's sessions are found all the same.
        user_id = connection.session.user_id
        again = None if user_id is None else await store.find_session(connection.handle, user_id=user_id)
        if again is not None:
            connection.key = again.key
        return again is not None

    def _close(self, connections: Sequence[Open]) -> None:
        for connection in connections:
            if connection not in self._open.get(connection.handle, ()):
                continue  # it was closed otherwise while the store was asked, and its handler may go on with other work
            self.discard(connection)
            connection.close()
            telemetry.tell(telemetry.CLOSED, connection.key, connection.handle)
