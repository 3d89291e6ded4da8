"""State that belongs to an event loop, made there when it is first needed, and gone with the loop.

Knows asyncio, and nothing of Redis or of sessions.
"""

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from threading import get_ident
from typing import Any, Generic, TypeVar

State = TypeVar("State")

_every: "weakref.WeakSet[PerLoop[Any]]" = weakref.WeakSet()


def _forget_threads() -> None:
    for one in _every:
        one.forget_threads()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_threads)


class PerLoop(Generic[State]):
    """One state per event loop, made when first needed there and closed when the loop shuts down.

    A weak dictionary would not do: connections hold their loop. An async generator that is started in the loop is
    closed by the loop's own shutdown (`loop.shutdown_asyncgens`, part of `asyncio.run`), and its `finally` cleans up.

    Every request asks for its loop's state, so the thread is looked up first: `asyncio.get_running_loop` makes a system
    call each time before Python 3.12. Of a thread's loops one runs at a time; a child process starts without them.
    """

    def __init__(self, make: Callable[[], State], close: Callable[[State], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._entries: dict[asyncio.AbstractEventLoop, tuple[State, AsyncGenerator[None, None]]] = {}
        self._lock = threading.Lock()
        self._by_thread: dict[int, tuple[asyncio.AbstractEventLoop, State]] = {}
        _every.add(self)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self) -> State:
        """Return the running loop's state."""
        known = self._by_thread.get(get_ident())
        if known is not None and known[0].is_running():
            return known[1]
        loop = asyncio.get_running_loop()
        entry = self._entries.get(loop)
        if entry is None:
            entry = self._start(loop)
        self._by_thread[get_ident()] = loop, entry[0]
        return entry[0]

    def forget_threads(self) -> None:
        """Look loops up anew; in a forked child, those of the parent still seem to run."""
        self._by_thread.clear()

    async def aclose(self) -> None:
        """Close the running loop's state, if there is one."""
        entry = self._entries.get(asyncio.get_running_loop())
        if entry is not None:
            await entry[1].aclose()

    def _start(self, loop: asyncio.AbstractEventLoop) -> tuple[State, AsyncGenerator[None, None]]:
        state = self._make()
        closer = self._until_closed(loop, state)
        with contextlib.suppress(StopIteration):
            closer.__anext__().send(None)  # runs to its yield, which registers it with the loop
        with self._lock:
            # Loops that were closed without shutting down their generators leave their entry behind.
            self._entries = {known: entry for known, entry in self._entries.items() if not known.is_closed()}
            self._entries[loop] = state, closer
            self._by_thread = {ident: known for ident, known in self._by_thread.items() if known[0] in self._entries}
        return self._entries[loop]

    async def _until_closed(self, loop: asyncio.AbstractEventLoop, state: State) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                self._entries.pop(loop, None)
                self._by_thread = {ident: known for ident, known in self._by_thread.items() if known[0] is not loop}
            await self._close(state)
