"""Many waiters, one round trip: what goes out together, in which order, and who is told what."""

import asyncio
import contextvars
import logging
from typing import Any

import pytest
from batch_kit import Line, settle

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions.batch import Batcher

asker: contextvars.ContextVar[str] = contextvars.ContextVar("asker", default="nobody")


async def test_what_is_asked_at_the_same_time_goes_out_as_one_batch() -> None:
    """In the order it was asked."""
    line = Line()
    line.ask("a", "b", "c")
    await settle()
    assert line.items() == [["a", "b", "c"]]


async def test_tasks_that_are_ready_at_the_same_time_share_a_batch() -> None:
    """A flight starts after the callbacks that are ready now."""
    line = Line()

    async def asking(item: str) -> str:
        return await line.batcher.ask(item)

    tasks = [asyncio.create_task(asking(item)) for item in "abc"]
    await settle()
    line.sent[0].answer()
    assert (await asyncio.gather(*tasks), line.items()) == (["A", "B", "C"], [["a", "b", "c"]])


async def test_what_is_asked_while_a_batch_is_under_way_goes_out_as_the_next_one() -> None:
    """One at a time, without a timer: as soon as the first is answered."""
    line = Line()
    line.ask("a")
    await settle()
    line.ask("b")
    await settle()
    line.ask("c")
    await settle()
    assert line.items() == [["a"]]
    line.sent[0].answer()
    await settle()
    assert line.items() == [["a"], ["b", "c"]]


async def test_each_waiter_gets_the_answer_to_its_own_item() -> None:
    """Promise 10: no reply is ever given to the wrong request."""
    line = Line()
    futures = line.ask("a", "b", "a", "c")
    await settle()
    line.sent[0].answer()
    assert await asyncio.gather(*futures) == ["A", "B", "A", "C"]


async def test_a_batch_after_a_pause_starts_by_itself() -> None:
    """A flight that ended when nothing waited leaves nothing behind."""
    line = Line()
    for item in ("a", "b"):
        (future,) = line.ask(item)
        await settle()
        line.sent[-1].answer()
        assert await future == item.upper()
    await settle()
    assert repr(line.batcher) == "<Batcher: 0 waiting, 0 batches under way>"


async def test_a_batch_has_a_cap_in_items() -> None:
    """The rest goes out next, in order."""
    line = Line(most_items=2)
    futures = line.ask("a", "b", "c", "d", "e")
    for number in range(3):
        await settle()
        line.sent[number].answer()
    assert await asyncio.gather(*futures) == ["A", "B", "C", "D", "E"]
    assert line.items() == [["a", "b"], ["c", "d"], ["e"]]


async def test_what_does_not_fit_goes_out_at_once() -> None:
    """On a flight of its own, so that the server works on one batch while this process does on the other."""
    line = Line(most_items=2)
    line.ask("a", "b", "c", "d", "e")
    await settle()
    assert line.items() == [["a", "b"], ["c", "d"]]
    line.sent[1].answer()
    await settle()
    assert line.items() == [["a", "b"], ["c", "d"], ["e"]]


async def test_what_fits_waits_for_the_batch_under_way() -> None:
    """Two small batches would cost nearly twice as much as one."""
    line = Line(most_items=2)
    line.ask("a")
    await settle()
    line.ask("b", "c")
    await settle()
    assert line.items() == [["a"]]


async def test_a_batch_has_a_cap_in_bytes() -> None:
    """Exactly the cap fits."""
    line = Line(most_bytes=4)
    line.ask("aa", "bb", "c")
    await settle()
    line.sent[0].answer()
    await settle()
    assert line.items() == [["aa", "bb"], ["c"]]


async def test_an_item_larger_than_the_cap_goes_out_alone() -> None:
    """It would wait forever otherwise."""
    line = Line(most_bytes=4)
    line.ask("a", "bbbbbbbb", "c")
    for number in range(2):
        await settle()
        line.sent[number].answer()
    await settle()
    assert line.items() == [["a"], ["bbbbbbbb"], ["c"]]


async def test_cancelling_a_waiter_of_a_batch_leaves_the_others_alone() -> None:
    """Promise 10: the batch goes on, and the answer of the cancelled one is discarded."""
    line = Line()
    first, second, third = line.ask("a", "b", "c")
    await settle()
    second.cancel()
    await settle()
    line.sent[0].answer()
    assert await asyncio.gather(first, third) == ["A", "C"]


async def test_cancelling_the_task_that_started_the_batch_leaves_the_others_alone() -> None:
    """Promise 10: a batch belongs to the loop and not to who asked first."""
    line = Line()

    async def asking() -> str:
        return await line.batcher.ask("a")

    task = asyncio.create_task(asking())
    await settle()
    (other,) = line.ask("b")
    task.cancel()
    await settle()
    line.sent[0].answer()
    await settle()
    line.sent[1].answer()
    assert (task.cancelled(), await other) == (True, "B")


async def test_a_waiter_cancelled_in_the_queue_is_not_sent() -> None:
    """Nobody wants its answer."""
    line = Line()
    line.ask("a")
    await settle()
    _, second = line.ask("b", "c")[0], line.ask("d")[0]
    second.cancel()
    line.sent[0].answer()
    await settle()
    assert line.items() == [["a"], ["b", "c"]]


async def test_when_all_that_wait_are_cancelled_nothing_is_sent() -> None:
    """An empty batch would be a round trip for nobody."""
    line = Line()
    for future in line.ask("a", "b"):
        future.cancel()
    await settle()
    assert (line.items(), line.flights()) == ([], [])


async def test_an_exception_as_an_answer_is_raised_to_that_waiter_alone() -> None:
    """One bad item spoils no other."""
    line = Line()
    first, second, third = line.ask("a", "b", "c")
    await settle()
    line.sent[0].reply.set_result(["A", ValueError("bad"), "C"])
    assert await asyncio.gather(first, third) == ["A", "C"]
    with pytest.raises(ValueError, match="bad"):
        await second


async def test_a_failed_batch_is_told_to_every_waiter_with_an_error_of_its_own() -> None:
    """A shared object would collect everybody's tracebacks; the cause is chained to each."""
    line = Line()
    futures = line.ask("a", "b")
    await settle()
    cause = OSError("refused")
    failure = StoreUnavailable("no connection")
    failure.__cause__ = cause
    line.sent[0].reply.set_exception(failure)
    errors = await asyncio.gather(*futures, return_exceptions=True)
    assert [(type(error), str(error), error.__cause__) for error in errors if isinstance(error, Exception)] == [
        (StoreUnavailable, "no connection", cause)
    ] * 2
    assert len({id(error) for error in [*errors, failure]}) == 3


async def test_a_failed_batch_does_not_hold_up_the_next() -> None:
    """The flight goes on with what waits."""
    line = Line()
    (failed,) = line.ask("a")
    await settle()
    (other,) = line.ask("b")
    line.sent[0].reply.set_exception(StoreUnavailable("no"))
    await settle()
    line.sent[1].answer()
    assert (isinstance(failed.exception(), StoreUnavailable), await other) == (True, "B")


def levels_told(caplog: pytest.LogCaptureFixture) -> list[int]:
    """Return the levels of this package's records; asyncio may tell of what an earlier test has left behind."""
    return [record.levelno for record in caplog.records if record.name == "chirp.sessions"]


@pytest.mark.parametrize(
    "reply", [["only one"], ["one", "two", "three"], None], ids=["too few", "too many", "none at all"]
)
async def test_a_reply_of_a_wrong_shape_fails_the_batch(reply: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Promise 10: rather no answer than a wrong one; it is logged, since it is a defect."""
    line = Line()
    futures = line.ask("a", "b")
    await settle()
    line.sent[0].reply.set_result(reply)
    errors = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(error) for error in errors] == [StoreUnavailable] * 2
    assert levels_told(caplog) == [logging.ERROR]


async def test_a_batch_whose_answers_are_never_told_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is left waiting for a sender that forgets, and it is logged, since it is a defect."""

    async def forget(items: Any, tell: Any) -> None:
        pass

    batcher: Batcher[str, str] = Batcher(forget, weigh=len, timeout_seconds=1000)
    with pytest.raises(StoreUnavailable, match="failed with RuntimeError"):
        await batcher.ask("a")
    assert levels_told(caplog) == [logging.ERROR]


async def test_an_unexpected_exception_becomes_a_typed_error(caplog: pytest.LogCaptureFixture) -> None:
    """With the cause chained and logged, and without its text, which may hold data."""
    line = Line()
    (future,) = line.ask("a")
    await settle()
    line.sent[0].reply.set_exception(KeyError("precious"))
    with pytest.raises(StoreUnavailable, match="failed with KeyError") as raised:
        await future
    assert (type(raised.value.__cause__), "precious" in str(raised.value)) == (KeyError, False)
    assert levels_told(caplog) == [logging.ERROR]


async def test_a_flight_sees_nothing_of_the_first_askers_context() -> None:
    """It outlives that request and serves others."""
    line = Line()
    seen: list[str] = []
    line.on_send = lambda: seen.append(asker.get())
    token = asker.set("me")
    line.ask("a")
    asker.reset(token)
    await settle()
    assert seen == ["nobody"]


async def test_a_cancelled_flight_answers_its_waiters() -> None:
    """However it ends, nobody is left waiting."""
    line = Line()
    futures = line.ask("a", "b")
    await settle()
    line.flights()[0].cancel()
    await settle()
    assert [type(future.exception()) for future in futures] == [StoreUnavailable] * 2


async def test_what_waits_behind_a_cancelled_flight_is_taken_over() -> None:
    """By another one, at once."""
    line = Line()
    (failed,) = line.ask("a")
    await settle()
    (other,) = line.ask("b")
    line.flights()[0].cancel()
    await settle()
    line.sent[1].answer()
    assert (await other, isinstance(failed.exception(), StoreUnavailable)) == ("B", True)


async def test_what_waits_for_a_flight_that_was_cancelled_before_it_ran_is_taken_over() -> None:
    """A task that never started runs no `finally`."""
    line = Line()
    (future,) = line.ask("a")
    line.flights()[0].cancel()
    await settle()
    assert line.items() == [["a"]]
    line.sent[0].answer()
    assert await future == "A"


async def test_after_a_cancelled_flight_asks_are_served_again() -> None:
    """It is not counted as under way any more."""
    line = Line()
    for future in line.ask("a"):
        future.add_done_callback(lambda one: one.exception())
    await settle()
    line.flights()[0].cancel()
    await settle()
    (later,) = line.ask("b")
    await settle()
    line.sent[1].answer()
    assert await later == "B"


def test_a_batcher_belongs_to_the_loop_it_is_made_in() -> None:
    """Promise 14: outside a loop there is nothing to belong to."""

    async def send(items: Any, tell: Any) -> None:
        tell(items)

    with pytest.raises(RuntimeError, match="no running event loop"):
        Batcher(send, weigh=len, timeout_seconds=1)
