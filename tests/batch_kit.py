"""A batcher whose sends a test sees, holds and answers, and a loop's clock that a test moves."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from chirp.middleware.sessions.batch import Batcher

TIMEOUT = 1000.0  # seconds of the moved clock: no test waits that long
OVERDUE = 100.0


class Sent:
    """One batch under way."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)
        self.reply: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()

    def answer(self) -> None:
        """Answer each item with itself in capitals."""
        self.reply.set_result([item.upper() for item in self.items])


class Line:
    """Takes the place of the store: every batch waits in `sent` until the test answers it."""

    def __init__(self, **settings: Any) -> None:
        self.sent: list[Sent] = []
        self.on_send: Callable[[], Any] = lambda: None
        defaults: dict[str, Any] = {"weigh": len, "timeout_seconds": TIMEOUT, "overdue_seconds": OVERDUE}
        self.batcher: Batcher[str, str] = Batcher(self._send, **{**defaults, **settings})

    async def _send(self, items: Sequence[str], tell: Callable[[Sequence[Any]], None]) -> None:
        one = Sent(items)
        self.sent.append(one)
        self.on_send()
        tell(await one.reply)

    def ask(self, *items: str) -> list[asyncio.Future[str]]:
        return [self.batcher.ask(item) for item in items]

    def items(self) -> list[list[str]]:
        """Return what was sent, batch by batch."""
        return [one.items for one in self.sent]

    def flights(self) -> list[asyncio.Task[None]]:
        """Return the tasks that carry batches."""
        return [flight.task for flight in self.batcher._flights if flight.task is not None]


class LoopClock:
    """The running loop's clock, which can be put forward; timers that are due then run."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.time
        self._ahead = 0.0
        self._loop.time = self._time  # type: ignore[method-assign]

    def _time(self) -> float:
        return self._real() + self._ahead

    async def advance(self, seconds: float) -> None:
        self._ahead += seconds
        await settle()

    def restore(self) -> None:
        self._loop.time = self._real  # type: ignore[method-assign]


async def settle() -> None:
    """Let everything run that is ready, and what becomes ready by that."""
    for _ in range(20):
        await asyncio.sleep(0)
