"""What server-side stores share: a cookie's id leads to a document, and the request's outcome is carried out on it.

A concrete store gives three primitives: `_read` one key, `_write` one mergeable change, `_run` steps in order.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import codec as encoding
from chirp.middleware.sessions import session_id, telemetry
from chirp.middleware.sessions.codec import EMPTY_DATA
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.decision import Found, Outcome
from chirp.middleware.sessions.outcomes import ServerSideOutcomes
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import NOTHING

# What takes several round trips, and would leave something behind if a client that goes away ended it in between.
SEVERAL_STEPS = (Outcome.END, Outcome.REGENERATE, Outcome.ROTATE, Outcome.RENEW)

log: logging.Logger = logging.getLogger("chirp.sessions")


T = TypeVar("T")

_under_way: set[asyncio.Task[Any]] = set()  # the event loop itself refers to tasks only weakly


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await work that goes on to its end if whoever awaits it is cancelled."""
    task = asyncio.ensure_future(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return await asyncio.shield(task)


class ServerSideStore(ServerSideOutcomes):
    """A store whose cookie holds an id and nothing else."""

    async def open(self, cookie: str | None, https: bool | None) -> Session:
        if cookie is None:
            return self._start(https=https)
        key = self.key_prefix + session_id.hash_id(cookie)
        try:
            value = await self._read(key)
        except StoreUnavailable as error:
            return self._open_unreachable(error, cookie, https)
        if value is None:
            telemetry.tell(telemetry.UNKNOWN, key)
            return self._start(found=Found.UNKNOWN, presented=cookie, https=https)
        envelope = self._codec.decode(value)
        if envelope is None:
            return await self._open_other(value, key, cookie, https)
        about = envelope.about
        lifetime = self._lifetime if about is None else self._lifetime_of(about)
        if lifetime.is_expired(envelope.created_at, envelope.last_seen_at, self.clock()):
            telemetry.tell(telemetry.EXPIRED, key)
            return self._start(found=Found.UNKNOWN, presented=cookie, https=https)
        return self._resume(value, envelope, https, cookie, key)

    def _open_unreachable(self, error: StoreUnavailable, cookie: str, https: bool | None) -> Session:
        error.session = session_id.name_of(self.key_for(cookie))
        if self.config.on_store_error == "unavailable":
            raise error
        log.warning(
            "store unavailable, the request runs without its session: %s", error, extra=telemetry.outage(error.session)
        )
        return self._start(found=Found.UNREACHABLE, presented=cookie, https=https)

    async def _open_other(self, value: bytes, key: str, cookie: str, https: bool | None) -> Session:
        """Return the session for a tombstone, or for a value that this package did not write."""
        if encoding.read_tombstone(value) is None:
            telemetry.tell(telemetry.CORRUPT, key)
            return self._start(found=Found.UNKNOWN, presented=cookie, https=https)
        try:
            key, successor = await self._followed(key, value)
        except StoreUnavailable as error:
            return self._open_unreachable(error, cookie, https)
        envelope = self._codec.decode(successor or b"")
        if envelope is None or self._is_expired(envelope):
            return self._start(found=Found.ENDED, presented=cookie, https=https)
        return self._resume(successor or b"", envelope, https, cookie, key)

    async def commit(self, session: Session, now: float) -> SetCookie | None:
        outcome, data, due = self._decide(session, now)
        if outcome is NOTHING:
            return None
        work = self._carry_out(outcome, session, data, now, due=due)
        if work is None:
            return None
        try:
            return await (to_the_end(work) if outcome in SEVERAL_STEPS else work)
        except StoreUnavailable as error:
            error.session = self._name_if_known(session)
            # A session emptied by removing keys is one that ends, and an end must not be pretended.
            may_be_lost = outcome is Outcome.TOUCH or (
                outcome in (Outcome.CREATE, Outcome.WRITE) and data != EMPTY_DATA
            )
            if self.config.on_store_error == "unavailable" or not may_be_lost:
                raise
            log.warning(
                "store unavailable, what the request stored is lost (%s): %s",
                outcome.value,
                error,
                extra=telemetry.outage(error.session),
            )
            return None
