"""How many sessions a user may have at once, and what becomes of one too many.

A new session is stored first and counted then, so of several logins at the same time none is overlooked. What is asked
before it is stored only spares the session that the browser had.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from chirp.errors import SessionLimitReached
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.directory import DirectoryStore, SessionInfo
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.user_index import Member


class LimitedStore(DirectoryStore):
    """A server-side store that keeps to `max_sessions_per_user`."""

    # Where a user gets one session more: the two outcomes that a login has (`decide`). A frame around the others would
    # cost every request that stores something.

    async def _regenerate(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        store = super()._regenerate
        most = self.config.max_sessions_per_user
        if most is None or session.user_id is None:
            return await store(session, data, now)
        return await self._sign_in(lambda: store(session, data, now), session, most)

    async def _move(self, session: Session, data: bytes, now: float, *, follow: bool) -> SetCookie | None:
        store = super()._move
        most = self.config.max_sessions_per_user
        if most is None or session.user_id is None or not self._changes_user(session):
            return await store(session, data, now, follow=follow)
        return await self._sign_in(lambda: store(session, data, now, follow=follow), session, most)

    async def _sign_in(
        self, store: Callable[[], Coroutine[Any, Any, SetCookie | None]], session: Session, most: int
    ) -> SetCookie | None:
        refuse = self.config.on_session_limit == "refuse"
        if refuse and len(await self._others(session)) >= most:
            raise _reached(most)
        cookie = await store()
        if session.id is None:
            return None  # it was revoked while it was stored
        others = await self._others(session)
        excess = len(others) + 1 - most
        if excess > 0 and refuse:
            await self._end(session)
            raise _reached(most)
        oldest = others[: max(excess, 0)]
        names = [Member(info.handle, info.key.removeprefix(self.key_prefix)) for info in oldest]
        await self._end_members(session.user_id, names)
        return cookie

    async def _others(self, session: Session) -> list[SessionInfo]:
        """Return the user's other sessions, the oldest first; the handle decides between those of one age."""
        own = self._key_of(session)
        others = [info for info in await self.list_sessions(session.user_id) if info.key != own]
        return sorted(others, key=lambda info: (info.created_at, info.handle))


def _reached(most: int) -> SessionLimitReached:
    return SessionLimitReached(
        f"the user has {most} sessions already, and max_sessions_per_user={most}: one of them has to end first, or "
        'on_session_limit="end_oldest" ends the oldest',
        limit=most,
    )
