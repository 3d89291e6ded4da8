"""The sessions of one user, or of all: list them, find one by its handle, end some of them.

Every session with a user stands in that user's index before its document is stored, and before it lives longer. So
whoever reads the index finds all that live, and some that do not. A rotation puts the new id there before the old one
dies: whoever found a dead one reads the index again, and goes on until there is nothing new.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import session_id, telemetry
from chirp.middleware.sessions.about import AS_USUAL
from chirp.middleware.sessions.codec import encode_user, read_tombstone
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.server_side import ServerSideStore, to_the_end
from chirp.middleware.sessions.steps import Delist, End, Members
from chirp.middleware.sessions.user_index import Member, index_key, read_member, write_member

AT_ONCE = 200  # keys asked for together, so that very many sessions, and large ones, take little memory
REVOKED_MS = 30_000  # a revoked id is remembered also where others are not: what is being stored must not come after it
MOST_READINGS = 100  # of an index that never stops changing

ANYBODY: Final = object()  # as the user whose session it has to be: not None, which is what an anonymous visitor has

NextHandle: TypeAlias = Callable[[float], Awaitable[str | None]]
"""Waits so many seconds for the handle of a session that has ended; None if none came."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One stored session, without what the app keeps in it.

    Attributes:
        handle: its public name; it survives rotation, and is safe to show and to log.
        user_id: the value under `user_key`, or None.
        created_at: Unix seconds at which it was created. `login()` creates one, so that is when its user signed in;
            where an app only sets the user key, the session had begun before.
        last_seen_at: Unix seconds of its last touch; lags by at most the touch interval.
        expires_at: Unix seconds at which it ends if it is not seen before.
        user_agent: by which it was seen last, with `SessionConfig.record_client`; None where that is not known. Escape
            it where you show it: it is what a client has sent.
        address: the same.
        current: whether it is the session of the request in which it was listed.
        size: bytes of the stored document.
        key: the key that it is stored under.
    """

    handle: str
    user_id: Any
    created_at: float
    last_seen_at: float
    expires_at: float
    user_agent: str | None
    address: str | None
    current: bool
    size: int
    key: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What one step of a look through all sessions found.

    Attributes:
        sessions: may be none, and in a store that changes meanwhile one of them may come twice.
        tombstones: how many sessions were found that have ended and are remembered for the grace.
        unreadable: how many values are no sessions of this configuration: corrupt, foreign, or with other names for
            their time stamps.
        progress: how much of the store has been looked through, from 0 to 1.
    """

    sessions: Sequence[SessionInfo]
    tombstones: int
    unreadable: int
    progress: float


class DirectoryStore(ServerSideStore):
    """A server-side store that knows which sessions are a user's.

    A concrete store gives four primitives more: `_scan` the keys of documents, `_read_all` documents or `_time_left`
    of many keys at once, and `_listen` to ends that are announced.
    """

    @abstractmethod
    def _scan(self) -> AsyncGenerator[tuple[Sequence[str], float], None]:
        """Yield the keys of documents, a few at a time, and how much has been looked through, from 0 to 1."""

    @abstractmethod
    async def _read_all(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `_read` does, for each key."""

    @abstractmethod
    async def _time_left(self, keys: Sequence[str]) -> list[float]:
        """Return the seconds that each key is still kept; infinite where it stays, 0 where there is none."""

    @abstractmethod
    def _listen(self) -> AbstractAsyncContextManager[NextHandle]:
        """Listen to `ended_channel`, from when it is entered.

        Raises StoreUnavailable when that cannot be, or cannot go on.
        """

    async def list_sessions(self, user_id: Any) -> list[SessionInfo]:
        """Return the live sessions of a user, the one seen last first.

        Args:
            user_id: the value under `user_key`; 1 and "1" are two users.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        found: dict[str, SessionInfo] = {}
        async with aclosing(self._members_of(user_id)) as readings:
            async for members in readings:
                infos = await self._read_infos([self.key_prefix + member.key_hash for member in members])
                # By handle: one that is rotated meanwhile is seen under both ids.
                found |= {info.handle: info for info in infos if info is not None and info.user_id == user_id}
                if all(infos):
                    break  # none has died, so none can have moved
        return sorted(found.values(), key=lambda info: info.last_seen_at, reverse=True)

    async def revoke(self, handle: str, *, user_id: Any = ANYBODY) -> bool:
        """End the session with a handle, from outside of its requests.

        Args:
            handle: as `Session.handle` and `SessionInfo.handle` have it.
            user_id: whose session it has to be; None is nobody. Always give it in an app: it is quick, and a user who
                has learnt another one's handle cannot end that session. Without it every session is looked through,
                which is for scripts.

        Returns:
            Whether there was such a session, in the user's index or, without a user, in the store. Afterwards there is
            none.

        Raises:
            StoreUnavailable: the session may go on.
        """
        if user_id is not ANYBODY:
            return await to_the_end(self._end_listed(user_id, only=handle)) > 0
        found = await self.find_session(handle)
        return found is not None and await self.revoke_found(found)

    async def revoke_found(self, info: SessionInfo) -> bool:
        """End a session that was listed or found, as `revoke` does, without looking for it again.

        Raises:
            StoreUnavailable: the session may go on.
        """
        return await to_the_end(self._end_found(info))

    async def revoke_user(self, user_id: Any, *, keep: str | None = None) -> int:
        """End the sessions of a user on every device; requests in flight bring none of them back.

        A login of the user that is being stored at the same time may be ended as well. One that begins later is not,
        so change the password first. Sessions that stand in no index are not found: those that an earlier version has
        stored, or whose index the server has evicted, until their next touch.

        Args:
            user_id: as in `list_sessions`.
            keep: the handle of one that goes on, such as `get_session().handle`.

        Returns:
            How many sessions were ended.

        Raises:
            StoreUnavailable: some may go on; call it again.
        """
        return await to_the_end(self._end_listed(user_id, keep=keep))

    async def revoke_id(self, id_: str) -> None:
        """End the session that an id leads to, or was rotated to, from outside of its requests.

        Args:
            id_: as in the browser's cookie. One that leads nowhere is remembered as dead for the grace.

        Raises:
            StoreUnavailable: nothing is acknowledged.
        """
        if session_id.is_well_formed(id_):
            await to_the_end(self._end_id(id_))

    async def find_session(self, handle: str, *, user_id: Any = ANYBODY) -> SessionInfo | None:
        """Return the live session with a handle; None if there is none.

        Args:
            handle: as in `revoke`.
            user_id: whose session it has to be, as in `revoke`; without it every session is looked through.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        if user_id is not ANYBODY:
            return next((info for info in await self.list_sessions(user_id) if info.handle == handle), None)
        async with aclosing(self.scan_sessions()) as scans:
            async for scan in scans:
                for info in scan.sessions:
                    if info.handle == handle:
                        return info
        return None

    async def scan_sessions(self) -> AsyncGenerator[Scan, None]:
        """Look through all live sessions, those without a user included, a few at a time: for scripts and operators.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        async with aclosing(self._scan()) as found:
            async for keys, progress in found:
                for some in in_pieces(keys) if keys else [keys]:
                    values = await self._read_all(some)
                    infos = self._infos_of(some, values)
                    others = [value for value, info in zip(values, infos, strict=True) if value and info is None]
                    tombstones = sum(read_tombstone(value) is not None for value in others)
                    expired = sum(self._codec.decode(value) is not None for value in others)
                    unreadable = len(others) - tombstones - expired
                    yield Scan([info for info in infos if info is not None], tombstones, unreadable, progress)

    async def time_left(self, infos: Sequence[SessionInfo]) -> list[float]:
        """Return for how many seconds the store keeps each session if it is not seen; infinite if it never ends.

        Unlike `SessionInfo.expires_at` that does not depend on the settings of whoever asks. A session that has ended
        since it was listed has at most the grace left, for which it is remembered.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        return await self._time_left([info.key for info in infos])

    async def read_data(self, info: SessionInfo) -> dict[str, Any] | None:
        """Return what the app keeps in a session; None if it has ended.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        envelope = self._codec.decode(await self._read(info.key) or b"")
        return None if envelope is None else envelope.data

    async def _members_of(self, user_id: Any) -> AsyncGenerator[Sequence[Member], None]:
        """Yield the members of a user's index, and then those that have come meanwhile, until there are none."""
        user = encode_user(user_id)
        if user is None:
            return
        key = index_key(self.key_prefix, user)
        seen: set[bytes] = set()
        for _ in range(MOST_READINGS):
            (values,) = await self._run([Members(key)])
            new = [value for value in values if value not in seen] if isinstance(values, list) else []
            if not new:
                return
            seen.update(new)
            yield [member for member in map(read_member, new) if member is not None]
        raise StoreUnavailable(f"the user's index changed {MOST_READINGS} times while it was read")

    async def _end_listed(self, user_id: Any, *, only: str | None = None, keep: str | None = None) -> int:
        """End the sessions of a user, all but one or only one; return how many were live."""
        ended = 0
        async for members in self._members_of(user_id):
            chosen = [each for each in members if each.handle != keep and only in (None, each.handle)]
            ended += await self._end_members(user_id, chosen)
        return ended

    async def _end_members(self, user_id: Any, members: Sequence[Member]) -> int:
        """End the sessions that members of a user's index name, and strike them off; return how many were live."""
        index = index_key(self.key_prefix, encode_user(user_id) or b"")
        ended = 0
        for some in in_pieces(members):
            keys = [self.key_prefix + each.key_hash for each in some]
            ended += sum(await asyncio.gather(*map(self._revoke_at, keys, [each.handle for each in some])))
            await self._strike_off([Delist(index, tuple(map(write_member, some)))])
        return ended

    async def _end_found(self, info: SessionInfo) -> bool:
        # By its key as well: one that was stored by an earlier version, or whose index is lost, stands in none.
        died = await self._revoke_at(info.key, info.handle)
        listed = 0 if info.user_id is None else await self._end_listed(info.user_id, only=info.handle)
        return died or listed > 0

    async def _end_id(self, id_: str) -> None:
        key, handle = self.key_for(id_), None
        if self.config.close_ended:
            _, value = await self._followed(key, await self._read(key))
            envelope = self._codec.decode(value or b"")
            handle = None if envelope is None else envelope.handle
        await self._revoke_at(key, handle)

    async def _revoke_at(self, key: str, handle: str | None) -> bool:
        """End the session at a key, or what it was rotated to; tell whether one of them was live."""
        grace_ms = self._grace_ms or REVOKED_MS
        (reply,) = await self._run([End(key, grace_ms)])
        died = await self._end_successors(reply, grace_ms) or reply is True
        if died:
            telemetry.tell(telemetry.REVOKED, key, handle)
            await self._announce_end(handle)
        return died

    async def _read_infos(self, keys: Sequence[str]) -> list[SessionInfo | None]:
        """Return what lives under each of the keys; None where nothing does."""
        return [info for some in in_pieces(keys) for info in self._infos_of(some, await self._read_all(some))]

    def _infos_of(self, keys: Sequence[str], values: Sequence[bytes | None]) -> list[SessionInfo | None]:
        now = self.clock()
        current = current_session.get(None)
        handle = current._handle if current is not None else ""
        return [self._info_of(key, value or b"", now, handle) for key, value in zip(keys, values, strict=True)]

    def _info_of(self, key: str, document: bytes, now: float, current: str) -> SessionInfo | None:
        envelope = self._codec.decode(document)
        if envelope is None:
            return None
        about, lifetime = envelope.about or AS_USUAL, self._lifetime_of(envelope.about)
        if lifetime.is_expired(envelope.created_at, envelope.last_seen_at, now):
            return None
        return SessionInfo(
            handle=envelope.handle if session_id.is_handle(envelope.handle) else "",
            user_id=envelope.data.get(self._user_key),
            created_at=envelope.created_at,
            last_seen_at=envelope.last_seen_at,
            expires_at=lifetime.ends_at(envelope.created_at, envelope.last_seen_at),
            user_agent=about.user_agent,
            address=about.address,
            current=bool(current) and envelope.handle == current,
            size=len(document),
            key=key,
        )


def in_pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]
