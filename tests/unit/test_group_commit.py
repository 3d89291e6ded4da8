"""Writers of one session in one process: one compare-and-set at a time, and none of them loses to another."""

import asyncio
from typing import Any

import pytest
from batch_kit import LoopClock, settle
from session_kit import config_with

from chirp.errors import SessionTooLarge, StoreUnavailable
from chirp.middleware.sessions import group_commit
from chirp.middleware.sessions.codec import Codec, encode_data
from chirp.middleware.sessions.group_commit import GroupCommit, longest_pause
from chirp.middleware.sessions.merging import MOST_MERGES, Write, Written
from chirp.middleware.sessions.steps import KEEP_TTL, NO_DOCUMENT, Swap

CONFIG = config_with(max_bytes=2000)
codec, lifetime = Codec(CONFIG), CONFIG.lifetime
SEEN, TIMEOUT, OVERDUE = 1000.0, 1000.0, 100.0
KEY = "key"


def document(data: dict[str, Any]) -> bytes:
    return codec.encode(created_at=SEEN, last_seen_at=SEEN, handle="h", data=encode_data(data))


def adding(name: str, base: dict[str, Any] | None = None, key: str = KEY, value: Any = 1) -> Write:
    """Return the write of a request that loaded `base` and adds one key."""
    base = base or {"a": 0}
    mine = base | {name: value}
    data = encode_data(mine)
    return Write(Swap(key, document(base), document(mine), KEEP_TTL), data, encode_data(base), data, None)


def touch() -> Write:
    return Write(Swap(KEY, document({"a": 0}), document({"a": 0}), 5), b'{"a":0}', None, b'{"a":0}', SEEN)


class Server:
    """Takes the place of the store: it holds documents, and each compare-and-set until the test lets it through."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {KEY: document({"a": 0})}
        self.waiting: list[tuple[Swap, asyncio.Future[Written]]] = []
        self.calls = 0
        self.group = GroupCommit(self._swap, codec, lifetime, timeout_seconds=TIMEOUT, overdue_seconds=OVERDUE)

    def _swap(self, swap: Swap) -> asyncio.Future[Written]:
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self.calls += 1
        self.waiting.append((swap, future))
        return future

    def carry_out(self) -> Written:
        """Take the oldest compare-and-set that is under way; return its result without telling it."""
        swap = self.waiting[0][0]
        current = self.values.get(swap.key)
        if current != swap.expected:
            return Written(False, current)
        self.values[swap.key] = swap.document
        if swap.document == NO_DOCUMENT:
            del self.values[swap.key]
        return Written(True, swap.document)

    async def let_through(self, error: Exception | None = None) -> None:
        """Answer the oldest compare-and-set that is under way."""
        result = self.carry_out() if error is None else None
        _, future = self.waiting.pop(0)
        if not future.done():
            if error is not None:
                future.set_exception(error)
            elif result is not None:
                future.set_result(result)
        await settle()

    def data(self, key: str = KEY) -> Any:
        opened = codec.decode(self.values[key])
        assert opened is not None
        return opened.data

    async def begin(self, *writes: Write) -> list[asyncio.Task[Written]]:
        """Have each write asked for by a request of its own."""
        tasks = [asyncio.create_task(self.group.write(write)) for write in writes]
        await settle()
        return tasks


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def loop_clock() -> Any:
    clock = LoopClock()
    yield clock
    clock.restore()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "LONGEST_PAUSE_SECONDS", 0.0)


async def test_a_writer_that_is_alone_writes_at_once(server: Server) -> None:
    """One compare-and-set, as it was asked for."""
    write = adding("b")
    (task,) = await server.begin(write)
    assert [swap for swap, _ in server.waiting] == [write.swap]
    await server.let_through()
    assert await task == Written(True, write.swap.document)
    assert not server.group._groups


async def test_a_hundred_and_fifty_writers_cost_two_calls(server: Server) -> None:
    """One is under way, and all who come meanwhile share the next one."""
    tasks = await server.begin(*(adding(f"k{number}") for number in range(150)))
    for _ in range(2):
        await server.let_through()
    assert all([(await task).done for task in tasks])
    assert server.data() == {"a": 0, **{f"k{number}": 1 for number in range(150)}}
    assert server.calls == 2


async def test_of_one_key_the_writer_that_came_last_wins(server: Server) -> None:
    """In the order in which they asked, whatever they share."""
    tasks = await server.begin(*(adding("k", value=number) for number in range(5)))
    for _ in range(2):
        await server.let_through()
    await asyncio.gather(*tasks)
    assert server.data()["k"] == 4


async def test_writers_of_other_sessions_do_not_wait(server: Server) -> None:
    """A group is of one session."""
    server.values["other"] = document({"a": 0})
    await server.begin(adding("b"), adding("c", key="other"))
    assert [swap.key for swap, _ in server.waiting] == [KEY, "other"]
    for _ in range(2):
        await server.let_through()


async def test_what_was_lost_to_another_process_is_merged_with_it(server: Server) -> None:
    """At once and on top of what stands, together with those who came meanwhile."""
    tasks = await server.begin(adding("b"), adding("c"))
    server.values[KEY] = document({"a": 5, "other": 1})
    for _ in range(2):
        await server.let_through()
    assert [(await task).done for task in tasks] == [True, True]
    assert server.data() == {"a": 5, "other": 1, "b": 1, "c": 1}
    assert server.calls == 2


async def test_the_first_writer_comes_before_those_who_waited_for_it(server: Server) -> None:
    """Though it has to try again with them: for one key the later write wins."""
    tasks = await server.begin(adding("k", value="first"), adding("k", value="second"))
    server.values[KEY] = document({"a": 5})
    for _ in range(2):
        await server.let_through()
    await asyncio.gather(*tasks)
    assert server.data()["k"] == "second"


@pytest.mark.parametrize("there", [None, b"dead", b"{corrupt"])
async def test_writers_of_a_session_that_is_gone_are_told_so(server: Server, there: bytes | None) -> None:
    """Nothing brings it back, and what stands instead is told to all who shared the write."""
    tasks = await server.begin(adding("b"), adding("c"))
    del server.values[KEY]
    if there is not None:
        server.values[KEY] = there
    while server.waiting:
        await server.let_through()
    told = [await task for task in tasks]
    assert told == [Written(False, None if there == b"{corrupt" else there)] * 2
    assert server.values.get(KEY) == there


async def test_a_deleted_session_is_not_brought_back_by_those_who_waited(server: Server) -> None:
    """The first empties it; the others find it gone."""
    emptying = Write(Swap(KEY, document({"a": 0}), NO_DOCUMENT, KEEP_TTL), b"{}", b'{"a":0}', b"{}", None)
    tasks = await server.begin(emptying, adding("b"))
    for _ in range(2):
        await server.let_through()
    assert [await task for task in tasks] == [Written(True, NO_DOCUMENT), Written(False, None)]


async def test_a_touch_that_waited_behind_a_change_is_lost_unsent(server: Server) -> None:
    """It never changes what another request wrote."""
    tasks = await server.begin(adding("b"), touch())
    await server.let_through()
    assert [(await task).done for task in tasks] == [True, False]
    assert server.calls == 1


async def test_a_touch_that_lost_is_not_tried_again(server: Server) -> None:
    """A touch is dropped, never merged."""
    (task,) = await server.begin(touch())
    server.values[KEY] = document({"a": 1})
    await server.let_through()
    assert await task == Written(False, document({"a": 1}))
    assert server.calls == 1


@pytest.mark.usefixtures("no_pauses")
async def test_a_stampede_of_other_processes_is_bounded(server: Server) -> None:
    """Whoever loses that often fails loudly; nothing of its change is written (promise 11)."""
    (task,) = await server.begin(adding("b"))
    for number in range(MOST_MERGES):
        server.values[KEY] = document({"a": number + 1})
        await server.let_through()
    with pytest.raises(StoreUnavailable, match=f"{MOST_MERGES} times"):
        await task
    assert (server.data(), server.waiting) == ({"a": MOST_MERGES}, [])


def test_pauses_grow_up_to_a_bound_and_come_after_every_second_loss() -> None:
    """After an odd number of losses what stands has just been told, and a pause would make it old."""
    assert [longest_pause(losses) for losses in range(1, 9)] == [0, 0.008, 0, 0.032, 0, 0.128, 0, 0.256]
    assert longest_pause(MOST_MERGES - 2) == 0.256


async def test_in_a_crowd_a_writer_pauses(
    server: Server, loop_clock: LoopClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent before the pause is over, and then it goes on."""
    monkeypatch.setattr(group_commit.random, "uniform", lambda least, most: 1000 * most)
    (task,) = await server.begin(adding("b"))
    for number in range(2):
        assert len(server.waiting) == 1
        server.values[KEY] = document({"a": number + 1})
        await server.let_through()
    assert not server.waiting
    await loop_clock.advance(10)
    assert len(server.waiting) == 1
    await server.let_through()
    assert (await task).done


async def test_one_change_that_does_not_fit_fails_alone(server: Server) -> None:
    """The others of its group are stored."""
    tasks = await server.begin(
        adding("first"), adding("b", value="x" * 1000), adding("c", value="y" * 1000), adding("d")
    )
    for _ in range(2):
        await server.let_through()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Written, Written, SessionTooLarge, Written]
    assert set(server.data()) == {"a", "first", "b", "d"}


async def test_cancelling_the_first_writer_leaves_the_others(server: Server) -> None:
    """Its compare-and-set may still happen; they merge with it."""
    tasks = await server.begin(adding("b"), adding("c"))
    tasks[0].cancel()
    await settle()
    server.carry_out()  # the one that nobody waits for any more
    while server.waiting:
        await server.let_through()
    assert (await tasks[1]).done
    assert server.data() == {"a": 0, "b": 1, "c": 1}


async def test_cancelling_one_who_waits_takes_it_out(server: Server) -> None:
    """What it wanted is not written, and the others are."""
    tasks = await server.begin(adding("b"), adding("c"), adding("d"))
    tasks[1].cancel()
    for _ in range(2):
        await server.let_through()
    assert server.data() == {"a": 0, "b": 1, "d": 1}
    assert [task.cancelled() for task in tasks] == [False, True, False]


async def test_when_all_who_waited_are_cancelled_nothing_is_left(server: Server) -> None:
    """Neither a call nor a group."""
    tasks = await server.begin(adding("b"), adding("c"))
    tasks[1].cancel()
    await server.let_through()
    await tasks[0]
    assert (server.calls, server.group._groups) == (1, {})


async def test_a_failed_write_is_told_to_those_who_shared_it(server: Server) -> None:
    """Each has an error of its own, with the cause; who came later goes on."""
    tasks = await server.begin(adding("b"), adding("c"), adding("d"))
    await server.let_through()
    later = await server.begin(adding("e"))
    failed = StoreUnavailable("out")
    failed.__cause__ = ConnectionError("reset")
    await server.let_through(failed)
    while server.waiting:
        await server.let_through()
    errors = await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert [(str(error), repr(error.__cause__)) for error in errors] == [("out", "ConnectionError('reset')")] * 2
    assert errors[0] is not errors[1]
    assert (await later[0]).done
    assert server.data() == {"a": 0, "b": 1, "e": 1}


async def test_an_unexpected_failure_is_told_and_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for ever."""
    tasks = await server.begin(adding("b"), adding("c"))
    await server.let_through()
    await server.let_through(ZeroDivisionError())
    with pytest.raises(StoreUnavailable, match="ZeroDivisionError"):
        await tasks[1]
    assert "unexpectedly" in caplog.text


async def test_each_writer_has_a_deadline_of_its_own(server: Server, loop_clock: LoopClock) -> None:
    """It counts from when it asked, though what it waits for is another's."""
    (first,) = await server.begin(adding("b"))
    await loop_clock.advance(TIMEOUT / 2)
    (second,) = await server.begin(adding("c"))
    await loop_clock.advance(TIMEOUT / 2)
    assert not second.done()
    await loop_clock.advance(TIMEOUT / 2)
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await second
    first.cancel()


async def test_who_waits_behind_an_overdue_write_forms_another_group(server: Server, loop_clock: LoopClock) -> None:
    """One connection that hangs does not hold up a session (promise 9)."""
    (first,) = await server.begin(adding("b"))
    (second,) = await server.begin(adding("c"))
    await loop_clock.advance(OVERDUE + 1)
    assert server.calls == 2
    hanging = server.waiting.pop(0)
    await server.let_through()
    assert (await second).done
    third = (await server.begin(adding("d")))[0]
    await server.let_through()
    if server.waiting:
        await server.let_through()
    assert (await third).done
    server.waiting.insert(0, hanging)
    while server.waiting:
        await server.let_through()
    assert (await first).done
    assert server.data() == {"a": 0, "b": 1, "c": 1, "d": 1}
    assert not server.group._groups


async def test_a_task_that_is_cancelled_leaves_nobody_waiting(server: Server) -> None:
    """As when the loop shuts down."""
    tasks = await server.begin(adding("b"), adding("c"))
    await server.let_through()
    group = server.group._groups[KEY]
    assert group.task is not None
    group.task.cancel()
    with pytest.raises(StoreUnavailable, match="cancelled"):
        await tasks[1]
    assert not server.group._groups
