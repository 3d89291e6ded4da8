"""Many writers of one session, one compare-and-set at a time. Knows asyncio, and nothing of Redis.

The first writer of a session writes at once. Who comes while that is under way joins its **group**; when the answer is
there, the whole group is folded into one compare-and-set on top of what stands by then, and so on until nobody waits.
So writers in one process never lose to each other, and n of them cost a few round trips. The rules:

- A compare that was lost to another process is tried again by the group, after a pause that grows with every loss:
  many processes that write one session at once take turns then, instead of all losing to one.
- Every writer has one deadline, counted from when it asked, and a bound of losses.
- A compare-and-set that is overdue holds up only those who share it: who waits behind it forms another group.
- A group belongs to the loop. Cancelling a writer takes it out of its group, nothing else.
"""

import asyncio
import contextvars
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.batch import tell_failure
from chirp.middleware.sessions.codec import Codec, is_document
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.merging import MOST_MERGES, Write, Written, can_merge, fold
from chirp.middleware.sessions.steps import Swap

FIRST_PAUSE_SECONDS = 0.002  # a compare-and-set of a large session takes about half of it
LONGEST_PAUSE_SECONDS = 0.256
NOTHING_SENT = Written(False, None)  # nobody shares it

log: logging.Logger = logging.getLogger("chirp.sessions")


class _Writer:
    """One write that waits in a group. `losses` counts the compares it has lost."""

    __slots__ = ("future", "losses", "write")

    def __init__(self, write: Write, future: asyncio.Future[Written], losses: int = 0) -> None:
        self.write = write
        self.future = future
        self.losses = losses

    def tell(self, answer: Written | Exception) -> None:
        if self.future.done():
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class _Group:
    """Who writes one session.

    `current` is the document that stands, as far as this process knows. `due` is the loop's time at which the
    compare-and-set under way is overdue, None while there is none; `timer` is set while somebody waits for it.
    """

    __slots__ = ("began", "current", "due", "key", "task", "timer", "waiting")

    def __init__(self, key: str, began: float) -> None:
        self.key = key
        self.began = began  # the loop's time, and this very object: it tells whose group it is
        self.current: bytes | None = None
        self.waiting: list[_Writer] = []
        self.task: asyncio.Task[None] | None = None
        self.due: float | None = None
        self.timer: asyncio.TimerHandle | None = None


class GroupCommit:
    """Writes sessions; belongs to the event loop it is made in.

    Args:
        swap: sends one compare-and-set.
        codec: opens and remakes documents.
        lifetime: gives their time to live.
        timeout_seconds: from asking to an answer.
        overdue_seconds: after which a compare-and-set no longer holds up those behind it.
    """

    def __init__(
        self,
        swap: Callable[[Swap], Awaitable[Written]],
        codec: Codec,
        lifetime: Lifetime,
        *,
        timeout_seconds: float,
        overdue_seconds: float = 0.1,
    ) -> None:
        self._swap = swap
        self._codec = codec
        self._lifetime = lifetime
        self._timeout = timeout_seconds
        self._overdue = overdue_seconds
        self._loop = asyncio.get_running_loop()
        # By key, while anything of it is under way. Of a writer whom nobody has joined there is only the loop's time at
        # which it began: nearly all are alone, and feel every object.
        self._groups: dict[str, float | _Group] = {}

    async def write(self, write: Write) -> Written:
        """Make a change, merged with what others store at the same time.

        Returns:
            How it ended; if not done, then because the session is gone, has ended, or is no longer what a touch loaded.

        Raises:
            StoreUnavailable: no answer by the deadline, or others were faster `MOST_MERGES` times.
            SessionTooLarge: the merged document exceeds the limit.
        """
        swap, groups = write.swap, self._groups
        key = swap.key
        now = self._loop.time()
        if key in groups:
            return await self._join(key, _Writer(write, self._promise(now + self._timeout)))
        groups[key] = now
        result: Written | None = None
        try:
            result = await self._swap(swap)
        finally:
            group = groups.get(key)
            if group is now:
                del groups[key]
            elif isinstance(group, _Group) and group.began is now:
                self._answered(group, result)
                self._launch(group)
        if result.done or not can_merge(write, result):
            return result
        return await self._join(key, _Writer(write, self._promise(now + self._timeout), losses=1), lost_to=result)

    def _join(self, key: str, writer: _Writer, *, lost_to: Written | None = None) -> asyncio.Future[Written]:
        """Have a writer wait in the group of its key; with `lost_to` it comes before all who wait there."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, self._loop.time())
            self._answered(group, lost_to)
            self._launch(group)
        elif not isinstance(group, _Group):
            group = self._groups[key] = _Group(key, group)
            group.due = group.began + self._overdue
        group.waiting.insert(len(group.waiting) if lost_to is None else 0, writer)
        if group.due is not None and group.timer is None:
            group.timer = self._loop.call_at(group.due, self._overtake, group)
        return writer.future

    def _promise(self, deadline: float) -> asyncio.Future[Written]:
        """Return a future that is answered by the deadline."""
        future: asyncio.Future[Written] = self._loop.create_future()
        expiry = self._loop.call_at(deadline, self._expire, future)
        future.add_done_callback(lambda _: expiry.cancel())
        return future

    def _expire(self, future: asyncio.Future[Written]) -> None:
        tell_failure(future, f"the store did not answer within {self._timeout} seconds", None)

    def _answered(self, group: _Group, result: Written | None) -> None:
        """The compare-and-set of a group is no longer under way; None if it failed."""
        value = None if result is None else result.value
        group.current = value if value is not None and is_document(value) else None
        group.due = None
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None

    def _overtake(self, group: _Group) -> None:
        """Let those go on who wait behind a compare-and-set that is overdue."""
        fresh = self._groups[group.key] = _Group(group.key, self._loop.time())
        fresh.waiting, group.waiting = group.waiting, []
        self._launch(fresh)

    def _leave(self, group: _Group) -> None:
        if self._groups.get(group.key) is group:
            del self._groups[group.key]

    def _launch(self, group: _Group) -> None:
        # An empty context: a group outlives the request that happened to start it.
        context = contextvars.Context()
        group.task = self._loop.create_task(self._carry(group), context=context)
        # A callback and no `finally`: a task that is cancelled before its first step runs none of its code.
        group.task.add_done_callback(partial(self._end, group), context=context)

    async def _carry(self, group: _Group) -> None:
        while group.waiting:
            writers = [writer for writer in group.waiting if not writer.future.done()]
            group.waiting = []
            try:
                members, result = await self._write_together(group, writers)
            except StoreUnavailable as error:
                _fail(writers, str(error), error.__cause__, type(error))
            except asyncio.CancelledError:
                group.waiting = writers + group.waiting
                raise
            except Exception as error:
                log.exception("writes of one session failed unexpectedly")
                _fail(writers, f"a write failed with {type(error).__name__}", error)
            else:
                await self._settle(group, members, result)
        self._leave(group)  # at once, so that nobody joins who would not be taken along

    async def _write_together(self, group: _Group, writers: Sequence[_Writer]) -> tuple[list[_Writer], Written]:
        """Send one compare-and-set for all writers; return those who share its result."""
        if not writers:
            return [], NOTHING_SENT
        folded = fold([writer.write for writer in writers], group.current, self._codec, self._lifetime)
        for loser, answer in folded.losers.items():
            writers[loser].tell(answer)
        if folded.swap is None:
            return [], NOTHING_SENT
        group.due = self._loop.time() + self._overdue
        result: Written | None = None
        try:
            result = await self._swap(folded.swap)
        finally:
            self._answered(group, result)
        return [writers[member] for member in folded.members], result

    async def _settle(self, group: _Group, members: Sequence[_Writer], result: Written) -> None:
        """Tell the members of a write how it ended, or have them wait for the next one."""
        again = []
        for writer in members:
            if not can_merge(writer.write, result):
                writer.tell(result)
                continue
            writer.losses += 1
            if writer.losses < MOST_MERGES:
                again.append(writer)
            else:
                writer.tell(_stampede())
        group.waiting = again + group.waiting
        if again and (longest := longest_pause(max(writer.losses for writer in again))):
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - nothing secret depends on it

    def _end(self, group: _Group, _: object = None) -> None:
        self._leave(group)
        _fail(group.waiting, "the task that wrote the session was cancelled", None)


def longest_pause(losses: int) -> float:
    """Return how long to pause at most, in seconds, after so many lost compares.

    After every second one only: what stands has been told with the first, and a pause would make that old.
    """
    return 0.0 if losses % 2 else min(FIRST_PAUSE_SECONDS * 2**losses, LONGEST_PAUSE_SECONDS)


def _fail(
    writers: Sequence[_Writer],
    message: str,
    cause: BaseException | None,
    kind: type[StoreUnavailable] = StoreUnavailable,
) -> None:
    for writer in writers:
        tell_failure(writer.future, message, cause, kind)


def _stampede() -> StoreUnavailable:
    return StoreUnavailable(
        f"the session was changed by other processes {MOST_MERGES} times while this one tried to merge; "
        "nothing was written"
    )
