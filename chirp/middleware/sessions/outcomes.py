"""Each row of the end-of-request table as ordered single-key steps, for stores that keep documents on a server.

A concrete store gives the primitives: `_write` one mergeable change, `_run` steps in order. Which row it is has been
decided before (`session.decide`); what the order of steps protects is said where they are put in order.
"""

import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, assert_never

from msgspec.structs import replace

from chirp.errors import SessionTooLarge, StoreUnavailable
from chirp.middleware.sessions import codec as encoding
from chirp.middleware.sessions import session_id
from chirp.middleware.sessions.codec import EMPTY_DATA, Tombstone
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import CookieChange, SetCookie
from chirp.middleware.sessions.decision import Ask, Found, Outcome
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import (
    KEEP_TTL,
    NO_DOCUMENT,
    Create,
    Delete,
    End,
    Look,
    Reply,
    Step,
    Swap,
    Write,
    Written,
    rebase,
)
from chirp.middleware.sessions.store import BuiltInStore

MOST_MERGES = 16  # each lost compare means that another process's write went through, so this many is a stampede

log = logging.getLogger("chirp.sessions")


class ServerSideOutcomes(BuiltInStore):
    """What a server-side store does at the end of a request.

    Args:
        config: the settings.
        key_prefix: what every key starts with.
        clock: returns Unix seconds.
    """

    def __init__(self, config: SessionConfig, key_prefix: str, *, clock: Callable[[], float]) -> None:
        super().__init__(config, value_pattern=session_id.ID_PATTERN, clock=clock)
        self.key_prefix = key_prefix
        self._grace_ms = config.rotation_grace_seconds * 1000

    @abstractmethod
    def _write(self, write: Write) -> Awaitable[Written]:
        """Take one compare-and-set; the store may fold it with others of the same key."""

    @abstractmethod
    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        """Take the steps in order, atomically where the server can, and return a reply for each."""

    def key_for(self, session_id_: str) -> str:
        """Return the key of a session's document: the prefix and the SHA-256 of the id."""
        return self.key_prefix + session_id.hash_id(session_id_)

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
                return self._rotate(session, data, now)
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

    async def _touch(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        # Not bound by max_bytes: the limit may be lower than when this was stored, or the new stamp longer by a digit,
        # and a request that only reads is not to fail.
        document = self._codec.encode_touched(session.created_at, now, session.handle, data)
        ttl_ms = self._lifetime.ttl_ms(session.created_at, now, now)
        swap = Swap(self._key_of(session), session._stored, document, ttl_ms)
        result = await self._write(Write(swap, data, None, data, now))
        if not result.done:
            return None  # whoever won has touched it, changed it or ended it
        session._stored = document
        session.last_seen_at = now
        return self._write_cookie(session, CookieChange.SLIDE)

    async def _store_change(self, session: Session, data: bytes, now: float, *, due: bool) -> SetCookie | None:
        write = self._change(session, data, now if due else None)
        result = await self._write(write)
        if not result.done:
            result = await self._merge(session, write, result)
        if not result.done:
            self._detach(session, data)
            return None
        if result.value == NO_DOCUMENT:
            self._forget(session)
            return self._cookies.delete(https=session._https)
        self._settle(session, write.swap.document, data)
        if not due:
            return None
        session.last_seen_at = now
        return self._write_cookie(session, CookieChange.SLIDE)

    def _change(self, session: Session, data: bytes, slide_to: float | None) -> Write:
        """Return this request's change, aimed at the document that it loaded."""
        document, ttl_ms = NO_DOCUMENT, KEEP_TTL
        if data != EMPTY_DATA:
            if slide_to is None:
                document = self._codec.replace_data(session._stored, session._base or EMPTY_DATA, data)
            else:
                document, ttl_ms = self._make_document(session, data, slide_to, created_at=session.created_at)
        swap = Swap(self._key_of(session), session._stored, document, ttl_ms)
        return Write(swap, data, session._base, data, slide_to)

    async def _merge(self, session: Session, write: Write, result: Written) -> Written:
        """Write again what has lost its compare, merged with whatever other requests wrote meanwhile."""
        lost = 1
        while not result.done and result.value is not None and encoding.is_document(result.value):
            if lost == MOST_MERGES:
                raise self._stampede(session)
            rebased = rebase(write, result.value, self._codec, self._lifetime)
            if rebased is None:
                return Written(False, None)
            write = rebased
            result = await self._write(write)
            lost += 1
        return result

    async def _end(self, session: Session) -> SetCookie | None:
        died = await self._run([End(self._key_of(session), self._grace_ms)])
        await self._follow(died[0])
        self._forget(session)
        # A deletion sent after another request gave the browser a new id would wipe that one.
        return self._cookies.delete(https=session._https) if died[0] is True else None

    async def _regenerate(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        steps: list[Step] = []
        new_id, step = self._make_new(session, data, now)
        if data != EMPTY_DATA:
            steps.append(step)
        presented = self._presented_key(session)
        if presented is not None:
            steps.append(End(presented, self._grace_ms))
        replies = await self._run(steps) if steps else []
        if data != EMPTY_DATA:
            self._expect_created(replies[0])
        if presented is not None and session._found is Found.LIVE:
            await self._follow(replies[-1])
        cookie = self._settle_new(session, new_id, step.document, data, now, created_at=now)
        if data == EMPTY_DATA:
            session._found = Found.UNKNOWN
        return cookie

    async def _rotate(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        """Create under the new id, which nobody knows yet; then move the old key there, merging on conflict."""
        if data == EMPTY_DATA:  # nothing to carry over, so this is a session emptied by removing keys
            return await self._store_change(session, data, now, due=False)
        new_id = session_id.mint()
        change = self._change(session, data, now)
        try:
            moved, left = await self._move(change, new_id)
        except SessionTooLarge:
            await self._run([Delete(self.key_for(new_id))])
            raise
        if moved:
            return self._settle_new(session, new_id, change.swap.document, data, now, created_at=session.created_at)
        await self._run([Delete(self.key_for(new_id))])
        if left is not None:
            if left.data == EMPTY_DATA:  # the same, with what others removed meanwhile
                return await self._store_change(session, data, now, due=False)
            raise self._stampede(session)
        self._detach(session, data)
        return None

    async def _move(self, write: Write, new_id: str) -> tuple[bool, Write | None]:
        """Move a document to the key of `new_id`.

        Returns:
            Whether it was moved; if not, the change that could not be carried over, or None if the session is gone.
        """
        new_key, tombstone = self.key_for(new_id), NO_DOCUMENT
        if self._grace_ms:
            tombstone = encoding.write_tombstone(Tombstone(session_id.hash_id(new_id)))
        placed: bytes | None = None  # the document under the new key
        for _ in range(MOST_MERGES):
            if write.data == EMPTY_DATA:
                break
            document, ttl_ms = write.swap.document, write.swap.ttl_ms
            place = Create(new_key, document, ttl_ms) if placed is None else Swap(new_key, placed, document, ttl_ms)
            leave = replace(write.swap, document=tombstone, ttl_ms=self._grace_ms)
            created, left = await self._run([place, leave])
            placed = document
            if created is True and left is True:
                return True, None
            if created is not True or not isinstance(left, bytes) or not encoding.is_document(left):
                return False, None
            rebased = rebase(write, left, self._codec, self._lifetime)
            if rebased is None:
                return False, None
            write = rebased
        return False, write

    async def _follow(self, reply: Reply) -> None:
        """End what an ended session was rotated to meanwhile."""
        seen: set[str] = set()
        while True:
            tombstone = encoding.read_tombstone(reply) if isinstance(reply, bytes) else None
            if tombstone is None or tombstone.successor is None or tombstone.successor in seen:
                return
            seen.add(tombstone.successor)  # tombstones that somebody planted may lead in a circle
            (reply,) = await self._run([End(self.key_prefix + tombstone.successor, self._grace_ms)])

    def _make_document(
        self, session: Session, data: bytes, last_seen_at: float, *, created_at: float
    ) -> tuple[bytes, int]:
        """Return the document and its time to live in milliseconds."""
        document = self._encode(session, data, last_seen_at, created_at=created_at)
        return document, self._lifetime.ttl_ms(created_at, last_seen_at, last_seen_at)

    def _encode(self, session: Session, data: bytes, last_seen_at: float, *, created_at: float) -> bytes:
        return self._codec.encode(created_at=created_at, last_seen_at=last_seen_at, handle=session.handle, data=data)

    def _make_new(self, session: Session, data: bytes, now: float) -> tuple[str, Create]:
        new_id = session_id.mint()
        document, ttl_ms = self._make_document(session, data, now, created_at=now)
        return new_id, Create(self.key_for(new_id), document, ttl_ms)

    def _settle_new(
        self, session: Session, new_id: str, document: bytes, data: bytes, now: float, *, created_at: float
    ) -> SetCookie:
        session.id = new_id
        session._lead_to(new_id)
        session.created_at = created_at
        session.last_seen_at = now
        self._settle(session, document, data)
        return self._write_cookie(session, CookieChange.NEW)

    def _settle(self, session: Session, document: bytes, data: bytes) -> None:
        """Make the session stand as stored: as its own document and data, without what a merge added.

        So where a merge added something, the next compare fails and merges again; it cannot drop the others' changes.
        """
        session._stored = document
        session._base = data
        session._found = Found.LIVE
        session._ask = Ask.KEEP

    def _detach(self, session: Session, data: bytes) -> None:
        """Cut the session off from the store: there is nothing it could be written to."""
        session.id = None
        session._base = data
        session._found = Found.ENDED
        session._ask = Ask.KEEP

    def _forget(self, session: Session) -> None:
        """Make the session one that nobody has yet: it ended by its own request, and what it holds next is new."""
        self._detach(session, EMPTY_DATA)
        session._found = Found.NOTHING_PRESENTED
        session._lead_to(None)
        session._handle = ""

    def _write_cookie(self, session: Session, change: CookieChange) -> SetCookie:
        return self._cookies.write(session.id or "", change, https=session._https)

    def _key_of(self, session: Session) -> str:
        return session._key or self.key_for(session._presented or "")

    def _presented_key(self, session: Session) -> str | None:
        presented = session._presented
        return self.key_for(presented) if presented and session_id.is_well_formed(presented) else None

    @staticmethod
    def _expect_created(reply: Reply) -> None:
        if reply is not True:
            raise StoreUnavailable("the store already had a document under a new random id; nothing was written")

    @staticmethod
    def _stampede(session: Session) -> StoreUnavailable:
        return StoreUnavailable(
            f"session {session.handle} was changed by other requests {MOST_MERGES} times while this one "
            "tried to merge; nothing was written"
        )
