"""Sessions in this process's memory, by the same table as on a server: for tests, and for apps of one process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import assert_never

from chirp.middleware.sessions import codec as encoding
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.directory import NextHandle
from chirp.middleware.sessions.merging import Write, Written, can_merge, rebase, written
from chirp.middleware.sessions.session_limit import LimitedStore
from chirp.middleware.sessions.steps import (
    KEEP_TTL,
    NO_DOCUMENT,
    Announce,
    Create,
    Delete,
    Delist,
    End,
    Enlist,
    Look,
    Members,
    Reply,
    Step,
    Swap,
)

SWEEP_EVERY = 1000  # values set; at most this many, or as many again as live, can pile up expired


class MemorySessionStore(LimitedStore):
    """Keeps sessions in a dict of this process; they are gone when it ends and no other process sees them.

    Steps have no await in them, so they are atomic among the tasks of an event loop. Use it from one loop only.

    Args:
        config: the settings.
        clock: returns Unix seconds; give your own to move time in tests.
    """

    def __init__(self, config: SessionConfig, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(config, "", clock=clock)
        self._values: dict[str, tuple[bytes, float]] = {}
        self._indexes: dict[str, dict[bytes, float]] = {}
        self._until_sweep = SWEEP_EVERY
        self._listeners: set[asyncio.Queue[str]] = set()

    def __repr__(self) -> str:
        return f"<MemorySessionStore: {len(self._values)} keys>"

    async def _read(self, key: str) -> bytes | None:
        return self._get(key)

    async def _write(self, write: Write) -> Written:
        result = written(write.swap, self._exchange(write.swap))
        if can_merge(write, result):
            again = rebase(write, result.value or b"", self._codec, self._lifetime)
            return Written(False, None) if again is None else written(again.swap, self._exchange(again.swap))
        return result

    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        return [self._take(step) for step in steps]

    async def _scan(self) -> AsyncGenerator[tuple[Sequence[str], float], None]:
        yield list(self._values), 1.0

    async def _read_all(self, keys: Sequence[str]) -> list[bytes | None]:
        return [await self._read(key) for key in keys]

    async def _time_left(self, keys: Sequence[str]) -> list[float]:
        return [self._values[key][1] - self.clock() if self._get(key) is not None else 0.0 for key in keys]

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[NextHandle]:
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def next_handle(seconds: float) -> str | None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await heard.get()
            return None

        self._listeners.add(heard)
        try:
            yield next_handle
        finally:
            self._listeners.discard(heard)

    def _take(self, step: Step) -> Reply:
        match step:
            case Create(key, document, ttl_ms):
                if self._get(key) is not None:
                    return False
                self._set(key, document, ttl_ms)
                return True
            case Look(key):
                return self._get(key) or False
            case End(key, grace_ms):
                return self._bury(key, grace_ms)
            case Swap():
                return self._exchange(step)
            case Delete(key):
                self._values.pop(key, None)
                return True
            case Enlist() | Delist() | Members():
                return self._take_of_index(step)
            case Announce(_, message):
                for listener in tuple(self._listeners):
                    listener.put_nowait(message)
                return True
            case never:
                assert_never(never)

    def _take_of_index(self, step: Enlist | Delist | Members) -> Reply:
        match step:
            case Enlist():
                return self._keep_member(step)
            case Delist(key, members):
                for member in members:
                    self._indexes.get(key, {}).pop(member.encode("ascii"), None)
                return True
            case Members(key):
                return list(self._indexes.get(key, ()))
            case never:
                assert_never(never)

    def _bury(self, key: str, grace_ms: int) -> Reply:
        value = self._get(key)
        if value is not None and encoding.read_tombstone(value) is not None:
            return value
        if grace_ms:
            self._set(key, encoding.write_tombstone(encoding.Tombstone()), grace_ms)
        else:
            self._values.pop(key, None)
        return value is not None and encoding.is_document(value)

    def _keep_member(self, step: Enlist) -> Reply:
        index = {member: until for member, until in self._indexes.get(step.key, {}).items() if until >= step.over}
        member = step.member.encode("ascii")
        index[member] = max(step.until, index.get(member, step.until))
        self._indexes[step.key] = index
        return True

    def _exchange(self, swap: Swap) -> Reply:
        current = self._get(swap.key)
        if current is None:
            return False
        if current != swap.expected:
            return current
        if swap.document == NO_DOCUMENT:
            del self._values[swap.key]
        elif swap.ttl_ms == KEEP_TTL:
            self._values[swap.key] = (swap.document, self._values[swap.key][1])
        else:
            self._set(swap.key, swap.document, swap.ttl_ms)
        return True

    def _get(self, key: str) -> bytes | None:
        value, expires_at = self._values.get(key, (None, 0.0))
        if value is not None and self.clock() >= expires_at:
            del self._values[key]
            return None
        return value

    def _set(self, key: str, value: bytes, ttl_ms: int) -> None:
        self._values[key] = (value, self.clock() + ttl_ms / 1000)
        self._sweep()

    def _sweep(self) -> None:
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            now = self.clock()
            self._values = {key: entry for key, entry in self._values.items() if now < entry[1]}
            self._indexes = {key: each for key, each in self._indexes.items() if max(each.values(), default=now) > now}
            self._until_sweep = max(SWEEP_EVERY, len(self._values))
