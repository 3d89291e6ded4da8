"""How a stored session is touched, changed and moved to another id, as ordered single-key steps.

A concrete store gives the primitives: `_read` one key, `_write` one mergeable change, `_run` steps in order.

A tombstone that may be followed is no end here: whoever finds one goes on at its successor.
"""

import contextlib
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Sequence

from msgspec.structs import replace

from chirp.errors import SessionTooLarge, StoreUnavailable
from chirp.middleware.sessions import codec as encoding
from chirp.middleware.sessions import session_id, telemetry
from chirp.middleware.sessions.codec import EMPTY_DATA, Tombstone, encode_user
from chirp.middleware.sessions.cookie import CookieChange, SetCookie
from chirp.middleware.sessions.decision import Ask
from chirp.middleware.sessions.documents import ServerDocuments
from chirp.middleware.sessions.merging import MOST_MERGES, NO_CHANGE, Write, Written, rebase
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import KEEP_TTL, NO_DOCUMENT, Announce, Create, Delete, Delist, Reply, Step, Swap

log: logging.Logger = logging.getLogger("chirp.sessions")

MOST_FOLLOWED = 4  # rotations in a row within one grace; tombstones that somebody planted may lead in a circle


class ServerChanges(ServerDocuments):
    """What a server-side store does with a session that goes on."""

    @abstractmethod
    def _read(self, key: str) -> Awaitable[bytes | None]:
        """Return the value; None when absent or expired. Raises StoreUnavailable for an outage."""

    @abstractmethod
    def _write(self, write: Write) -> Awaitable[Written]:
        """Make one change, merged with what others have stored meanwhile."""

    @abstractmethod
    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        """Take the steps in order, atomically where the server can, and return a reply for each."""

    async def _followed(self, key: str, value: bytes | None) -> tuple[str, bytes | None]:
        """Return where tombstones that may be followed lead from the value of a key: the last key, and its value."""
        for _ in range(MOST_FOLLOWED):
            tombstone = encoding.read_tombstone(value) if value is not None else None
            if tombstone is None or tombstone.successor is None or not tombstone.follow:
                break
            key = self.key_prefix + tombstone.successor
            value = await self._read(key)
        return key, value

    async def _touch(self, session: Session, data: bytes, now: float) -> SetCookie | None:
        # Not bound by max_bytes: the limit may be lower than when this was stored, or the new stamp longer by a digit,
        # and a request that only reads is not to fail.
        about = session._next_about()
        document = self._codec.encode_touched(session.created_at, now, session.handle, about, data)
        ttl_ms = self._lifetime_of(about).ttl_ms(session.created_at, now, now)
        swap = Swap(self._key_of(session), session._stored, document, ttl_ms)
        await self._enlist(session, swap.key, now, ttl_ms)
        result = await self._write(Write(swap, data, None, data, now))
        if not result.done:
            return None  # whoever won has touched it, changed it or ended it
        telemetry.tell(telemetry.TOUCHED, swap.key, session.handle)
        session._stored = document
        session._settle_about(about)
        session.last_seen_at = now
        return self._write_cookie(session, CookieChange.SLIDE)

    async def _store_change(self, session: Session, data: bytes, now: float, *, due: bool) -> SetCookie | None:
        asked = write = self._change(session, data, now if due else None)
        while True:
            if due:
                await self._enlist(session, write.swap.key, now, write.swap.ttl_ms)
            result = await self._write(write)
            if result.done:
                break
            further = await self._aim_at_successor(write, result.value)
            if further is None:
                self._detach(session, data)
                return None
            write = further
            session._key = write.swap.key
        if result.value is not write.swap.document:
            telemetry.tell(telemetry.MERGED, write.swap.key, session.handle)
        if result.value == NO_DOCUMENT:
            telemetry.tell(telemetry.ENDED, write.swap.key, session.handle)
            await self._announce_end(session.handle)
            await self._strike_off(self._delisting(session))
            followed = self._is_followed(session)
            self._forget(session)
            return None if followed else self._cookies.delete(https=session._https)
        self._settle(session, asked.swap.document or self._emptied(session), data)
        if not due:
            return None
        session.last_seen_at = now
        change = CookieChange.SLIDE if session._asked_lifetime is None else CookieChange.NEW
        if self._settle_written(session, asked, result.value):
            # Others gave it a longer life, for which they have put it into the index. From now on it is this long.
            ttl_ms = self._lifetime_of(session._about).ttl_ms(session.created_at, now, now)
            await self._enlist(session, write.swap.key, now, ttl_ms)
        return self._write_cookie(session, change)

    def _settle_written(self, session: Session, asked: Write, stands: bytes | None) -> bool:
        """Take over what stands beside the data now, and tell whether it is another lifetime than the one asked for.

        Others may have given the session one meanwhile.
        """
        expected = session._next_about()
        merged = None if stands is asked.swap.document else self._codec.decode(stands or b"")
        about = expected if merged is None else merged.about
        session._settle_about(about)
        return self._lifetime_of(about) != self._lifetime_of(expected)

    async def _enlist(self, session: Session, key: str, now: float, ttl_ms: int) -> None:
        """Let the user's index know of the session until the time to which its document is about to live."""
        steps = self._enlisting(session, key, now, ttl_ms)
        if steps:
            await self._run(steps)

    async def _strike_off(self, steps: Sequence[Delist]) -> None:
        """Take out of an index what has ended; what stays there does so until its time is over, and fails nothing."""
        with contextlib.suppress(StoreUnavailable):
            if steps:
                await self._run(steps)

    async def _announce_end(self, handle: str | None) -> None:
        """Tell every process that a session has ended, where its open connections are to be closed.

        The end itself is acknowledged by then, so a message that cannot be sent fails nothing.
        """
        if not self.config.close_ended or handle is None or not session_id.is_handle(handle):
            return
        try:
            await self._run([Announce(self.ended_channel, handle)])
        except StoreUnavailable as error:
            log.warning("the end of session %s could not be announced: %s", handle, error)

    def _emptied(self, session: Session) -> bytes:
        """Return the document of a session that its request emptied while others filled it; it is nowhere stored."""
        return self._codec.encode_touched(
            session.created_at, session.last_seen_at, session.handle, session._about, EMPTY_DATA
        )

    def _change(self, session: Session, data: bytes, slide_to: float | None) -> Write:
        """Return this request's change, aimed at the document that it loaded."""
        document, ttl_ms = NO_DOCUMENT, KEEP_TTL
        if data != EMPTY_DATA:
            if slide_to is None:
                document = self._codec.replace_data(session._stored, session._base or EMPTY_DATA, data)
            else:
                document, ttl_ms = self._make_document(session, data, slide_to, created_at=session.created_at)
        swap = Swap(self._key_of(session), session._stored, document, ttl_ms)
        about = NO_CHANGE if slide_to is None else session._about_change()
        return Write(swap, data, session._base, data, slide_to, about)

    async def _aim_at_successor(self, write: Write, found: bytes | None) -> Write | None:
        """Return the change aimed at what the session was rotated to; None if what was found leads nowhere.

        Args:
            write: found no document under its key any more.
            found: what stands there.
        """
        key, value = await self._followed(write.swap.key, found)
        if key == write.swap.key or value is None:
            return None
        return rebase(replace(write, swap=replace(write.swap, key=key)), value, self._codec, self._lifetime)

    async def _renew(self, session: Session, data: bytes, now: float, *, due: bool) -> SetCookie | None:
        """Move the session to a new id that requests in flight may follow the old one to.

        Whoever came by way of such a rotation, or finds one in its place, need not move the session again.
        """
        if not self._is_followed(session):
            return await self._move(session, data, now, follow=True)
        if data != session._base or session._asked_lifetime is not None:
            return await self._store_change(session, data, now, due=due)
        session._ask = Ask.KEEP
        return await self._touch(session, data, now) if due else None

    async def _move(self, session: Session, data: bytes, now: float, *, follow: bool) -> SetCookie | None:
        """Move the session to a new id; the old one leads there only with `follow`."""
        if data == EMPTY_DATA:  # nothing to carry over, so this is a session emptied by removing keys
            return await self._store_change(session, data, now, due=False)
        new_id = session_id.mint()
        leaves_user = self.config.close_ended and self._changes_user(session)
        change = self._change(session, data, now)
        try:
            moved, left = await self._carry_over(session, change, new_id, now, follow=follow)
        except SessionTooLarge:
            await self._withdraw(session, self.key_for(new_id))
            raise
        if moved:
            event = telemetry.RENEWED if follow else telemetry.ROTATED
            telemetry.tell(event, self.key_for(new_id), session.handle, previous=change.swap.key)
            if leaves_user:  # what is open was opened by another user, or by nobody
                await self._announce_end(session.handle)
            await self._strike_off(self._delisting(session))
            self._settle_written(session, change, (left or change).swap.document)
            return self._settle_new(session, new_id, change.swap.document, data, now, created_at=session.created_at)
        await self._withdraw(session, self.key_for(new_id))
        if left is None:
            self._detach(session, data)
            return None
        if follow or left.data == EMPTY_DATA:  # the next request may renew it; or others removed what was left
            return await self._store_change(session, data, now, due=session._asked_lifetime is not None)
        raise StoreUnavailable(
            f"session {session.handle} was changed by other requests {MOST_MERGES} times while this one "
            "tried to give it a new id; nothing was written"
        )

    def _changes_user(self, session: Session) -> bool:
        """Tell whether the session has another user than when it was loaded."""
        return self._codec.owner_of(session._stored)[1] != encode_user(session.user_id)

    async def _withdraw(self, session: Session, key: str) -> None:
        """Take back what a rotation that was not carried out has put under a new key and into the user's index."""
        place = self._place_in_index(session.handle, encode_user(session.user_id), key)
        steps: list[Step] = [Delete(key)]
        await self._run(steps if place is None else [*steps, Delist(place[0], (place[1],))])

    async def _carry_over(
        self, session: Session, write: Write, new_id: str, now: float, *, follow: bool
    ) -> tuple[bool, Write | None]:
        """Create under the new id, which nobody knows yet; then move the old key there, merging on conflict.

        Returns:
            Whether it was moved, and the change as it was carried over; if not, the change that could not be, or None
            if the session is gone.
        """
        new_key, tombstone = self.key_for(new_id), NO_DOCUMENT
        if self._grace_ms:
            tombstone = encoding.write_tombstone(Tombstone(session_id.hash_id(new_id), follow))
        placed: bytes | None = None  # the document under the new key
        for _ in range(MOST_MERGES):
            if write.data == EMPTY_DATA:
                break
            document, ttl_ms = write.swap.document, write.swap.ttl_ms
            place = Create(new_key, document, ttl_ms) if placed is None else Swap(new_key, placed, document, ttl_ms)
            leave = replace(write.swap, document=tombstone, ttl_ms=self._grace_ms)
            enlist = self._enlisting(session, new_key, now, ttl_ms)
            try:
                *_, created, left = await self._run([*enlist, place, leave])
            except StoreUnavailable as error:
                if await self._has_left(leave, error):
                    return True, write
                raise
            placed = document
            if created is True and left is True:
                return True, write
            if created is not True or not isinstance(left, bytes):
                return False, None
            if encoding.is_document(left):
                again = rebase(write, left, self._codec, self._lifetime)
                telemetry.tell(telemetry.MERGED, leave.key)
            else:
                again = await self._aim_at_successor(write, left)
                if follow and again is not None:
                    return False, write  # another request has renewed it
            if again is None:
                return False, None
            write = again
        return False, write

    async def _has_left(self, leave: Swap, error: StoreUnavailable) -> bool:
        """Tell whether the old key was left although the reply was lost.

        The id is dead then, and a browser that is not told of the new one is logged out. A store that did not answer in
        time is not asked again: the request has waited long enough.
        """
        if error.__cause__ is None or leave.document == NO_DOCUMENT:
            return False
        try:
            return await self._read(leave.key) == leave.document
        except StoreUnavailable:
            return False
