"""Each row of the end-of-request table as ordered single-key steps, for stores that keep documents on a server.

Which row it is has been decided before (`decision.decide`); what the order of steps protects is said where they are put
in order. Rows of a session that goes on are in `changes`.
"""

import logging
from collections.abc import Coroutine
from typing import Any, assert_never

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import codec as encoding
from chirp.middleware.sessions.changes import ServerChanges
from chirp.middleware.sessions.codec import EMPTY_DATA
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.decision import Found, Outcome
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import Delete, End, Look, Reply, Step

log = logging.getLogger("chirp.sessions")


class ServerSideOutcomes(ServerChanges):
    """What a server-side store does at the end of a request."""

    def _carry_out(
        self, outcome: Outcome, session: Session, data: bytes, now: float, *, due: bool
    ) -> Coroutine[Any, Any, SetCookie | None] | None:
        """Return what is to be awaited for an outcome; None if that is nothing."""
        match outcome:
            case Outcome.WRITE:
                return self._store_change(session, data, now, due=due)
            case Outcome.TOUCH:
                return self._touch(session, data, now)
            case Outcome.CREATE:
                return self._create(session, data, now)
            case Outcome.END:
                return self._end(session)
            case Outcome.REGENERATE:
                return self._regenerate(session, data, now)
            case Outcome.ROTATE:
                return self._move(session, data, now, follow=False)
            case Outcome.RENEW:
                return self._renew(session, data, now, due=due)
            case Outcome.REFUSE:
                raise StoreUnavailable("the store is out, so the session can neither end nor get a new id")
            case Outcome.LOSE:
                log.warning("store unavailable, what the request stored is lost")
                return None
            case Outcome.NOTHING:
                return None
            case never:
                assert_never(never)

    async def _create(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        new_id, step = self._make_new(session, data, now)
        presented = self._presented_key(session)
        if presented is None:
            self._expect_created((await self._run([step]))[0])
        else:
            # Looking after creating closes a race: a login running beside this request tombstones the presented
            # id, and a cookie for this session would overwrite the login's in the browser.
            created, there = await self._run([step, Look(presented)])
            self._expect_created(created)
            if isinstance(there, bytes) and encoding.read_tombstone(there) is not None:
                await self._run([Delete(step.key)])
                self._detach(session, data)
                return None
        return self._settle_new(session, new_id, step.document, data, now, created_at=now)

    async def _end(self, session: Session) -> SetCookie | None:
        followed = self._is_followed(session)
        died = await self._end_at(self._key_of(session))
        self._forget(session)
        # A deletion sent after another request gave the browser a new id would wipe that one.
        return self._cookies.delete(https=session._https) if died is True and not followed else None

    async def _end_at(self, key: str) -> Reply:
        """End the session at a key, or what it was rotated to; return the reply for the key itself."""
        (reply,) = await self._run([End(key, self._grace_ms)])
        await self._end_successors(reply)
        return reply

    async def _regenerate(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        steps: list[Step] = []
        new_id, step = self._make_new(session, data, now)
        if data != EMPTY_DATA:
            steps.append(step)
        presented = self._presented_key(session)
        if presented is not None:
            steps.append(End(presented, self._grace_ms))
        if self._is_followed(session):
            steps.append(End(self._key_of(session), self._grace_ms))  # the grace in which the other leads here may end
        replies = await self._run(steps) if steps else []
        if data != EMPTY_DATA:
            self._expect_created(replies[0])
        if presented is not None and session._found is Found.LIVE:
            await self._end_successors(replies[-1])
        cookie = self._settle_new(session, new_id, step.document, data, now, created_at=now)
        if data == EMPTY_DATA:
            session._found = Found.UNKNOWN
        return cookie

    async def _end_successors(self, reply: Reply) -> None:
        """End what an ended session was rotated to meanwhile."""
        seen: set[str] = set()
        while True:
            tombstone = encoding.read_tombstone(reply) if isinstance(reply, bytes) else None
            if tombstone is None or tombstone.successor is None or tombstone.successor in seen:
                return
            seen.add(tombstone.successor)  # tombstones that somebody planted may lead in a circle
            (reply,) = await self._run([End(self.key_prefix + tombstone.successor, self._grace_ms)])

    @staticmethod
    def _expect_created(reply: Reply) -> None:
        if reply is not True:
            raise StoreUnavailable("the store already had a document under a new random id; nothing was written")
