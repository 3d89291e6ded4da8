"""Each row of the end-of-request table as ordered single-key steps, for stores that keep documents on a server.

Which row it is has been decided before (`decision.decide`); what the order of steps protects is said where they are put
in order. Rows of a session that goes on are in `changes`.
"""

import logging
from collections.abc import Coroutine
from typing import Any, assert_never

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import codec as encoding
from chirp.middleware.sessions import telemetry
from chirp.middleware.sessions.changes import ServerChanges
from chirp.middleware.sessions.codec import EMPTY_DATA
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.decision import Found, Outcome
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import Create, Delete, End, Look, Reply, Step

log: logging.Logger = logging.getLogger("chirp.sessions")


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
                log.warning(
                    "store unavailable, what the request stored is lost",
                    extra=telemetry.outage(self._name_if_known(session)),
                )
                return None
            case Outcome.NOTHING:
                return None
            case never:
                assert_never(never)

    async def _create(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        # Never with a user: whoever signs in gets a new id (`decide`), and with it goes through `_regenerate`.
        new_id, step = self._make_new(session, data, now)
        presented = self._presented_key(session)
        if presented is None:
            (created,) = await self._run([step])
        else:
            # Looking after creating closes a race: a login running beside this request tombstones the presented
            # id, and a cookie for this session would overwrite the login's in the browser.
            created, there = await self._run([step, Look(presented)])
            if is_tombstone(there):
                await self._run([Delete(step.key)])
                self._detach(session, data)
                return None
        if created is not True:
            raise _already_there()
        telemetry.tell(telemetry.CREATED, step.key, session.handle)
        return self._settle_new(session, new_id, step.document, data, now, created_at=now)

    async def _end(self, session: Session) -> SetCookie | None:
        followed = self._is_followed(session)
        (died,) = await self._run([End(self._key_of(session), self._grace_ms)])
        await self._leave(session, died)
        self._forget(session)
        # A deletion sent after another request gave the browser a new id would wipe that one.
        return self._cookies.delete(https=session._https) if died is True and not followed else None

    async def _leave(self, session: Session, died: Reply) -> None:
        """End what the session was rotated to as well, and strike it off its user's index.

        Args:
            session: as it was loaded.
            died: the reply to its end.
        """
        if await self._end_successors(died, self._grace_ms) or died is True:
            handle = self._codec.owner_of(session._stored)[0] if session._stored else None
            telemetry.tell(telemetry.ENDED, self._key_of(session), handle)
            await self._announce_end(handle)
        await self._strike_off(self._delisting(session))

    async def _regenerate(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        new_id, step = self._make_new(session, data, now)
        create: list[Step] = []
        if data != EMPTY_DATA:
            create = [*self._enlisting(session, step.key, now, step.ttl_ms), step]
        presented = self._presented_key(session)
        end: list[Step] = [End(presented, self._grace_ms)] if presented is not None else []
        if self._is_followed(session):
            end.append(End(self._key_of(session), self._grace_ms))  # the grace in which the other leads here may end
        replies = await self._run([*create, *end]) if create or end else []
        if end and session._found is Found.LIVE:
            await self._leave(session, replies[-1])
        if create and not await self._is_created(step, replies[len(create) - 1]):
            self._detach(session, data)
            return None
        if create:
            telemetry.tell(telemetry.REGENERATED, step.key, session.handle, previous=presented)
        cookie = self._settle_new(session, new_id, step.document, data, now, created_at=now)
        if data == EMPTY_DATA:
            session._found = Found.UNKNOWN
        return cookie

    async def _end_successors(self, reply: Reply, grace_ms: int) -> bool:
        """End what an ended session was rotated to meanwhile; tell whether one of them was live."""
        seen: set[str] = set()
        died = False
        while True:
            tombstone = encoding.read_tombstone(reply) if isinstance(reply, bytes) else None
            if tombstone is None or tombstone.successor is None or tombstone.successor in seen:
                return died
            seen.add(tombstone.successor)  # tombstones that somebody planted may lead in a circle
            (reply,) = await self._run([End(self.key_prefix + tombstone.successor, grace_ms)])
            died = died or reply is True

    async def _is_created(self, step: Create, reply: Reply) -> bool:
        """Tell whether a new session was stored; False if it was revoked first, by way of its user's index.

        Raises:
            StoreUnavailable: something else stands under its key, which nobody can have known.
        """
        if reply is True:
            return True
        (there,) = await self._run([Look(step.key)])
        if is_tombstone(there):
            return False
        raise _already_there()


def is_tombstone(reply: Reply) -> bool:
    """Tell whether what was found under a key says that a session has ended."""
    return isinstance(reply, bytes) and encoding.read_tombstone(reply) is not None


def _already_there() -> StoreUnavailable:
    return StoreUnavailable("the store already had a document under a new random id; nothing was written")
