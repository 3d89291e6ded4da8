"""Many waiters, one round trip. Knows asyncio, and nothing of Redis or of sessions.

Whoever asks gets a future. What waits is taken together, in the order it came, by a **flight**: a task that sends
batch after batch until nothing waits. The rules:

- The first ask starts a flight; it runs after the callbacks that are ready now, so asks made at the same time join.
  There is no timer to wait for.
- Every ask has one deadline, counted from when it was made, whatever it spends its time on.
- What does not fit into one batch goes out at once on a second flight; what fits waits for the one under way.
- A flight whose batch is overdue keeps its own waiters only: the next asks get another flight.
- A batch belongs to the loop. Cancelling a waiter takes it out of the queue or discards its answer, nothing else.
- However a flight ends, its waiters have an answer, and what still waits has another flight.
"""

import asyncio
import contextvars
import logging
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import accumulate, islice
from typing import Any, Generic, TypeAlias, TypeVar

from chirp.errors import StoreUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Tell: TypeAlias = Callable[[Sequence[Answer | Exception]], None]
Send: TypeAlias = Callable[[Sequence[Item], Tell[Answer]], Awaitable[None]]

ON_TIME = 2  # flights at once while none is overdue: the server works on one batch while this process does on the other
TOGETHER_SECONDS = 0.01  # deadlines this close are met with one timer

log: logging.Logger = logging.getLogger("chirp.sessions")


class _Flight(Generic[Item, Answer]):
    """One batch under way, and the task that carries it.

    `items`, `futures` and `deadlines` run in parallel and are empty between two batches. `due` is the loop's time at
    which somebody has to look whether the batch is overdue or some of its waiters are at their deadline. `told` says
    that its answers are known.
    """

    __slots__ = ("deadlines", "due", "futures", "items", "overdue", "task", "timed_out", "told")

    def __init__(self) -> None:
        self.overdue = False
        self.timed_out = False
        self.task: asyncio.Task[None] | None = None
        self.empty()

    def empty(self) -> None:
        self.items: list[Item] = []
        self.futures: list[asyncio.Future[Answer]] = []
        self.deadlines: list[float] = []
        self.due = math.inf
        self.told = False


class Batcher(Generic[Item, Answer]):
    """Sends what waits as one batch; belongs to the event loop it is made in.

    Args:
        send: sends a batch, and tells once an answer for each item, in order, as soon as it knows them; an exception as
            an answer is raised to that waiter alone. What it raises itself is told to every waiter of the batch.
        weigh: bytes that an item takes in a batch; None where the cap in items is bound enough.
        timeout_seconds: from asking to an answer.
        meter: told the size of each batch, in items, once it is taken together; None where nobody wants to know.
        overdue_seconds: after which a batch no longer holds up those behind it.
        most_items: cap of one batch.
        most_bytes: cap of one batch; a single item may exceed it.
        most_flights: batches under way at once; of more than two, all others are overdue.
    """

    def __init__(
        self,
        send: Send[Item, Answer],
        *,
        weigh: Callable[[Item], int] | None,
        timeout_seconds: float,
        meter: Callable[[int], None] | None = None,
        overdue_seconds: float = 0.1,
        most_items: int = 64,
        most_bytes: int = 1 << 20,
        most_flights: int = 3,
    ) -> None:
        self._send = send
        self._weigh = weigh
        self._timeout = timeout_seconds
        self._meter = meter
        self._overdue = overdue_seconds
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._most_flights = most_flights
        self._loop = asyncio.get_running_loop()
        # What waits, in the order it came; three lists cost less than a tuple for each waiter.
        self._items: list[Item] = []
        self._futures: list[asyncio.Future[Answer]] = []
        self._deadlines: list[float] = []
        self._flights: set[_Flight[Item, Answer]] = set()
        self._on_time = 0  # flights that are not overdue; the first that is free takes what is asked next
        self._timer: asyncio.TimerHandle | None = None  # one for all flights, and not set anew for every batch

    def __repr__(self) -> str:
        return f"<Batcher: {len(self._items)} waiting, {len(self._flights)} batches under way>"

    def ask(self, item: Item) -> asyncio.Future[Answer]:
        """Queue one item.

        Returns:
            A future of its answer; it may be cancelled at any time without effect on others.

        Raises (from the future):
            StoreUnavailable: no answer by the deadline, or the batch failed.
        """
        loop = self._loop
        future: asyncio.Future[Answer] = loop.create_future()
        self._items.append(item)
        self._futures.append(future)
        self._deadlines.append(loop.time() + self._timeout)
        if not self._on_time:
            self._launch()
        return future

    def _launch(self) -> None:
        if len(self._flights) >= self._most_flights:
            return  # each of them ends at a deadline and takes what waits then
        flight: _Flight[Item, Answer] = _Flight()
        self._flights.add(flight)
        self._on_time += 1
        # An empty context: a flight outlives the request that happened to start it.
        context = contextvars.Context()
        flight.task = self._loop.create_task(self._fly(flight), context=context)
        # A callback and no `finally`: a task that is cancelled before its first step runs none of its code.
        flight.task.add_done_callback(partial(self._end, flight), context=context)

    async def _fly(self, flight: _Flight[Item, Answer]) -> None:
        while self._take(flight):
            try:
                await self._send(flight.items, partial(self._answer, flight))
                if not flight.told:
                    raise RuntimeError("a batch was sent, and its answers were never told")  # noqa: TRY301
            except asyncio.CancelledError:
                if not flight.timed_out:
                    raise
                self._land(flight)
            except StoreUnavailable as error:
                self._fail(flight, str(error), error.__cause__ or error, type(error))
            except Exception as error:
                log.exception("a batch failed unexpectedly")
                self._fail(flight, f"a batch failed with {type(error).__name__}", error)
            flight.empty()
        self._end(flight)

    def _take(self, flight: _Flight[Item, Answer]) -> bool:
        """Fill the flight from what waits; False when nothing does."""
        self._drop_cancelled()
        count = self._fitting()
        if not count:
            return False
        if count == len(self._items):
            flight.items, flight.futures, flight.deadlines = self._items, self._futures, self._deadlines
            self._items, self._futures, self._deadlines = [], [], []
        else:
            flight.items, self._items = self._items[:count], self._items[count:]
            flight.futures, self._futures = self._futures[:count], self._futures[count:]
            flight.deadlines, self._deadlines = self._deadlines[:count], self._deadlines[count:]
        if self._meter is not None:
            self._meter(count)
        flight.timed_out = False
        if flight.overdue:
            flight.overdue = False
            self._on_time += 1
        flight.due = min(self._loop.time() + self._overdue, flight.deadlines[0])
        self._wake_by(flight.due)
        if self._items and self._on_time < ON_TIME:
            self._launch()  # what does not fit need not wait
        return True

    def _drop_cancelled(self) -> None:
        done = [future.done() for future in self._futures]
        if True in done:
            waiting = [index for index, gone in enumerate(done) if not gone]
            self._items = [self._items[index] for index in waiting]
            self._futures = [self._futures[index] for index in waiting]
            self._deadlines = [self._deadlines[index] for index in waiting]

    def _fitting(self) -> int:
        """Return how many of those who wait fit into one batch."""
        most = min(len(self._items), self._most_items)
        if self._weigh is None:
            return most
        sizes = list(accumulate(map(self._weigh, islice(self._items, most))))
        return min(most, max(1, bisect_right(sizes, self._most_bytes)))

    def _wake_by(self, due: float) -> None:
        """See to it that `_watch` runs by then. It may run earlier: a timer costs more than to be woken for nothing."""
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._watch)

    def _watch(self) -> None:
        self._timer = None
        now = self._loop.time() + TOGETHER_SECONDS
        for flight in tuple(self._flights):
            if flight.due <= now:
                self._look_at(flight, now)
        due = min((flight.due for flight in self._flights), default=math.inf)
        if due < math.inf:
            self._wake_by(due)

    def _look_at(self, flight: _Flight[Item, Answer], now: float) -> None:
        """The flight's batch is overdue, or some of its waiters are at their deadline."""
        if not flight.overdue:
            flight.overdue = True
            self._on_time -= 1
            if self._items and not self._on_time:
                self._launch()
        expired = sum(1 for deadline in flight.deadlines if deadline <= now)
        for future in flight.futures[:expired]:
            tell_failure(future, f"the store did not answer within {self._timeout} seconds", None)
        if expired < len(flight.deadlines):
            flight.due = flight.deadlines[expired]
        elif flight.task is not None:
            flight.due = math.inf
            flight.timed_out = True
            flight.task.cancel()

    def _land(self, flight: _Flight[Item, Answer]) -> None:
        """Take back the cancellation with which the deadline ended a batch; anyone else's stands."""
        flight.timed_out = False
        task = asyncio.current_task()
        if task is not None and task.uncancel() > 0:
            raise asyncio.CancelledError

    def _answer(self, flight: _Flight[Item, Answer], answers: Sequence[Answer | Exception]) -> None:
        if len(answers) != len(flight.items):
            raise ValueError(f"{len(answers)} answers to {len(flight.items)} items")
        flight.told = True
        for future, answer in zip(flight.futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _fail(
        self,
        flight: _Flight[Item, Answer],
        message: str,
        cause: BaseException | None,
        kind: type[StoreUnavailable] = StoreUnavailable,
    ) -> None:
        for future in flight.futures:
            tell_failure(future, message, cause, kind)

    def _end(self, flight: _Flight[Item, Answer], _: object = None) -> None:
        if flight not in self._flights:
            return
        self._flights.discard(flight)
        if not flight.overdue:
            self._on_time -= 1
        self._fail(flight, "the task that talked to the store was cancelled", None)
        if not self._on_time and any(not future.done() for future in self._futures):
            self._launch()


def tell_failure(
    future: asyncio.Future[Any],
    message: str,
    cause: BaseException | None,
    kind: type[StoreUnavailable] = StoreUnavailable,
) -> None:
    """Fail one waiter with an error object of its own: a shared one would collect everybody's tracebacks."""
    if not future.done():
        error = kind(message)
        error.__cause__ = cause
        future.set_exception(error)
