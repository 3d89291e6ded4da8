"""One deadline from asking to the answer, and batches that are overdue do not hold up others."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from batch_kit import OVERDUE, TIMEOUT, Line, LoopClock, settle

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.batch import Batcher


@pytest.fixture
async def clock() -> AsyncIterator[LoopClock]:
    one = LoopClock()
    yield one
    one.restore()


def states(*futures: "asyncio.Future[str]") -> list[str]:
    """Tell of each whether it waits, was answered or failed."""
    return [
        "waits" if not future.done() else "failed" if future.exception() is not None else future.result()
        for future in futures
    ]


async def test_a_batch_that_is_not_answered_fails_at_its_deadline(clock: LoopClock) -> None:
    """Promise 9: every wait is bounded."""
    line = Line()
    (future,) = line.ask("a")
    await settle()
    await clock.advance(TIMEOUT - 1)
    assert states(future) == ["waits"]
    await clock.advance(1)
    with pytest.raises(StoreUnavailable, match=r"did not answer within 1000\.0 seconds"):
        await future


async def test_at_the_deadline_what_sends_is_cancelled(clock: LoopClock) -> None:
    """Its connection must not be used by anyone else."""
    line = Line()
    (future,) = line.ask("a")
    await settle()
    await clock.advance(TIMEOUT)
    assert (line.sent[0].reply.cancelled(), line.flights(), states(future)) == (True, [], ["failed"])


async def test_a_deadline_counts_from_asking(clock: LoopClock) -> None:
    """Promise 9: the time in the queue is part of it."""
    line = Line(overdue_seconds=TIMEOUT)
    line.ask("a")[0].add_done_callback(lambda one: one.exception())
    await settle()
    await clock.advance(TIMEOUT / 2)
    (queued,) = line.ask("b")
    await clock.advance(TIMEOUT / 4)
    line.sent[0].answer()
    await settle()
    await clock.advance(TIMEOUT / 2)
    assert (line.items(), states(queued)) == ([["a"], ["b"]], ["waits"])
    await clock.advance(TIMEOUT / 4)
    assert states(queued) == ["failed"]


async def test_members_of_one_batch_fail_each_at_its_own_deadline(clock: LoopClock) -> None:
    """Who asked later has longer; the batch goes on for them."""
    line = Line(overdue_seconds=TIMEOUT)
    blocking = line.ask("x")[0]
    await settle()
    (early,) = line.ask("a")
    await clock.advance(TIMEOUT / 2)
    (late,) = line.ask("b")
    line.sent[0].answer()
    await settle()
    await clock.advance(TIMEOUT / 2)
    assert (states(blocking, early, late), line.items()[1]) == (["X", "failed", "waits"], ["a", "b"])
    line.sent[1].answer()
    assert await late == "B"


async def test_after_a_deadline_the_next_batch_goes_out(clock: LoopClock) -> None:
    """The flight survives the cancellation by its own deadline."""
    line = Line(overdue_seconds=TIMEOUT, most_flights=1)
    (failed,) = line.ask("a")
    await settle()
    await clock.advance(TIMEOUT / 2)
    (other,) = line.ask("b")
    await clock.advance(TIMEOUT / 2)
    assert line.items() == [["a"], ["b"]]
    line.sent[1].answer()
    assert (await other, states(failed)) == ("B", ["failed"])


async def test_a_cancellation_from_outside_at_the_deadline_still_ends_the_flight(clock: LoopClock) -> None:
    """Only the deadline's own cancellation is taken back."""
    line = Line()
    (future,) = line.ask("a")
    await settle()
    (task,) = line.flights()
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + TIMEOUT, task.cancel)  # due in the same turn of the loop as the deadline
    await clock.advance(TIMEOUT)
    assert (task.cancelled(), states(future)) == (True, ["failed"])


async def test_an_overdue_batch_lets_the_next_go_on_another_flight(clock: LoopClock) -> None:
    """Promise 9: while one is overdue the next starts on another connection; both are answered."""
    line = Line()
    (slow,) = line.ask("a")
    await settle()
    (waiting,) = line.ask("b")
    await clock.advance(OVERDUE - 1)
    assert line.items() == [["a"]]
    await clock.advance(1)
    assert line.items() == [["a"], ["b"]]
    line.sent[1].answer()
    await settle()
    assert states(slow, waiting) == ["waits", "B"]
    line.sent[0].answer()
    assert await slow == "A"


async def test_a_sender_that_hangs_after_it_told_the_answers_does_not_hold_up_the_next(clock: LoopClock) -> None:
    """Its connection may be slow to be given back."""
    sent: list[Sequence[str]] = []

    async def tell_and_hang(items: Sequence[str], tell: Callable[[Sequence[Any]], None]) -> None:
        sent.append(list(items))
        tell(items)
        await asyncio.Event().wait()

    batcher: Batcher[str, str] = Batcher(tell_and_hang, weigh=len, timeout_seconds=TIMEOUT, overdue_seconds=OVERDUE)
    assert await batcher.ask("a") == "a"
    waiting = batcher.ask("b")
    await clock.advance(OVERDUE)
    assert (await waiting, sent) == ("b", [["a"], ["b"]])
    await clock.advance(TIMEOUT)
    assert repr(batcher) == "<Batcher: 0 waiting, 0 batches under way>"


async def test_what_is_asked_while_a_batch_is_overdue_goes_out_at_once(clock: LoopClock) -> None:
    """It does not wait for the overdue one."""
    line = Line()
    (slow,) = line.ask("a")
    await settle()
    await clock.advance(OVERDUE)
    (later,) = line.ask("b")
    await settle()
    line.sent[1].answer()
    assert (await later, states(slow)) == ("B", ["waits"])
    line.sent[0].answer()
    await slow


async def test_no_more_batches_are_under_way_than_allowed(clock: LoopClock) -> None:
    """A store that hangs does not cost ever more connections."""
    line = Line(most_flights=2)
    futures: list[asyncio.Future[Any]] = []
    for item in "abcd":
        futures += line.ask(item)
        await settle()
        await clock.advance(OVERDUE)
    assert (line.items(), len(line.flights())) == ([["a"], ["b"]], 2)
    await clock.advance(TIMEOUT)
    await clock.advance(TIMEOUT)
    assert states(*futures) == ["failed"] * 4


async def test_what_waits_behind_overdue_batches_goes_out_when_one_of_them_ends(clock: LoopClock) -> None:
    """Together, and on that flight."""
    line = Line(most_flights=1)
    line.ask("a")
    await settle()
    await clock.advance(OVERDUE)
    waiting = line.ask("b", "c")
    await settle()
    line.sent[0].answer()
    await settle()
    line.sent[1].answer()
    assert (await asyncio.gather(*waiting), line.items()) == (["B", "C"], [["a"], ["b", "c"]])


async def test_an_answered_batch_leaves_no_timer(clock: LoopClock) -> None:
    """A timer of the batch before would end the next one early."""
    line = Line()
    line.ask("a")
    await settle()
    await clock.advance(OVERDUE - 1)
    (second,) = line.ask("b")
    line.sent[0].answer()
    await settle()
    await clock.advance(1)
    (third,) = line.ask("c")
    await settle()
    assert line.items() == [["a"], ["b"]]
    line.sent[1].answer()
    await settle()
    line.sent[2].answer()
    assert await asyncio.gather(second, third) == ["B", "C"]


async def test_a_flight_that_was_overdue_counts_again_when_it_takes_the_next_batch(clock: LoopClock) -> None:
    """What is asked then waits for it as for any other, until that batch is overdue in turn."""
    line = Line(most_flights=2)
    for item in "abc":
        line.ask(item)[0].add_done_callback(lambda one: one.exception())
        await settle()
        await clock.advance(OVERDUE)
    for number in range(2):
        line.sent[number].answer()
        await settle()
    (later,) = line.ask("d")
    await settle()
    assert line.items() == [["a"], ["b"], ["c"]]
    await clock.advance(OVERDUE)
    assert line.items() == [["a"], ["b"], ["c"], ["d"]]
    for number in (2, 3):
        line.sent[number].answer()
    assert await later == "D"
