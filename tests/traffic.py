"""Browsers that go on making requests, each through several stores, and what must be found of them afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, NamedTuple

from visits import commit, handle, put, read, visit

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.session import Session

AT_ONCE = 3  # requests of one browser
KEYS = 12  # of a session, written again and again: a multiple of `AT_ONCE`, so requests made at once never share one
PROGRESS_SECONDS = 30.0

Stores = list[RedisSessionStore]


class Refusal(NamedTuple):
    """A request that got an error, and after how many seconds."""

    error: StoreUnavailable
    seconds: float


class Visitor:
    """One browser with a session of its own, whose requests at once change different keys, each by another store.

    A refused change has an unknown fate: it may have been made, wholly. Whatever comes after it tells.

    Args:
        stores: as many as there would be processes.
        number: is stored in the session, and in everything that is written to it.

    Attributes:
        cookie: the session's id.
        expected: what was acknowledged.
        in_doubt: by key, what was refused since the last acknowledgement.
        dead: the ids that logouts, regenerations and rotations have ended.
        done: how many requests were acknowledged.
        refusals: those that were not.
    """

    def __init__(self, stores: Stores, number: int) -> None:
        self.number = number
        self.cookie = ""
        self.expected: dict[str, Any] = {}
        self.in_doubt: dict[str, set[Any]] = {}
        self.dead: list[str] = []
        self.done = 0
        self.refusals: list[Refusal] = []
        self._stores = cycle(stores[number % len(stores) :] + stores[: number % len(stores)])
        self._tried = 0

    @property
    def store(self) -> RedisSessionStore:
        """Each time another one."""
        return next(self._stores)

    async def arrive(self) -> None:
        """Begin a session."""
        self.cookie = await put(self.store, owner=self.number)
        self.expected = {"owner": self.number}
        self.done += 1

    async def change(self) -> None:
        """Change several keys, each in a request of its own, at once."""
        await asyncio.gather(*(self._change_one() for _ in range(AT_ONCE)))

    async def _change_one(self) -> None:
        self._tried += 1
        key, value = f"key{self._tried % KEYS}", f"{self.number}:{self._tried}"
        began = time.monotonic()
        try:
            session = (await visit(self.store, self.cookie, lambda session: session.update({key: value}))).session
        except StoreUnavailable as error:
            self.refusals.append(Refusal(error, time.monotonic() - began))
            self.in_doubt.setdefault(key, set()).add(value)
        else:
            assert session.id == self.cookie, "a session that nobody ended was gone"
            self.expected[key] = value
            self.in_doubt.pop(key, None)
            self.done += 1

    async def rotate(self) -> None:
        await self._end_with(lambda session: rotate_session())

    async def regenerate(self) -> None:
        await self._end_with(lambda session: regenerate_session().update(owner=self.number, regenerated=True))
        self.expected = {"owner": self.number, "regenerated": True}

    async def log_out(self) -> None:
        await self._end_with(Session.clear)

    async def _end_with(self, handler: Callable[[Session], object]) -> None:
        """End the id, with a request under way that loaded the session before and stores its change afterwards."""
        late = await self.store.open(self.cookie, https=True)
        handle(late, lambda session: session.update(late=True))
        self.dead.append(self.cookie)
        self.cookie = (await visit(self.store, self.cookie, handler)).session.id or ""
        left = await commit(self.store, late)
        assert (left.session.id, left.cookie) == (None, None), "a session that has ended took a change"
        self.done += 1

    async def live(self) -> None:
        """Make every kind of request once, from the first to the logout, and begin anew."""
        for step in (self.change, self.change, self.rotate, self.change, self.regenerate, self.change, self.log_out):
            await step()
        await self.arrive()

    async def found(self, store: RedisSessionStore) -> bool:
        """Tell whether the session holds what was acknowledged (or refused after it), and no ended one anything."""
        there = await read(store, self.cookie)
        allowed = {key: {value} | self.in_doubt.get(key, set()) for key, value in self.expected.items()}
        right = all(there.get(key) in values for key, values in allowed.items()) and all(
            value in allowed.get(key, set()) | self.in_doubt.get(key, set()) for key, value in there.items()
        )
        return right and not any([await read(store, cookie) for cookie in self.dead])


async def arrived(stores: Stores, size: int) -> list[Visitor]:
    """Return visitors that have a session each."""
    visitors = [Visitor(stores, number) for number in range(size)]
    await asyncio.gather(*(visitor.arrive() for visitor in visitors))
    return visitors


@asynccontextmanager
async def busy(visitors: Iterable[Visitor], act: Callable[[Visitor], Awaitable[None]]) -> AsyncIterator[None]:
    """Have every visitor act again and again inside the block; what an act raises ends the block."""
    stop = asyncio.Event()

    async def go_on(visitor: Visitor) -> None:
        while not stop.is_set():
            await act(visitor)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for visitor in visitors:
            tasks.create_task(go_on(visitor))
        try:
            yield
        finally:
            stop.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait, while others act, until a condition holds."""
    async with asyncio.timeout(PROGRESS_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


async def until_each(visitors: Iterable[Visitor], more: int, count: Callable[[Visitor], int]) -> None:
    """Wait until something was counted `more` times for each of the visitors."""
    goals = [(visitor, count(visitor) + more) for visitor in visitors]
    await until(lambda: all(count(visitor) >= goal for visitor, goal in goals))


def acknowledged(visitor: Visitor) -> int:
    return visitor.done


def refused(visitor: Visitor) -> int:
    return len(visitor.refusals)
