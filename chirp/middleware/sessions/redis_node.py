"""One Redis or Valkey node, alone or in a cluster: what requests ask of it, batched into few round trips.

Three lanes, since a round trip is of one kind: reads (one `MGET`), swaps (one script call), and operations (pipelined
`SET`, `GET`, `DEL` and scripts). Each lane is a batcher; they share the connections of one link.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import redis_steps
from chirp.middleware.sessions.batch import Batcher, Tell
from chirp.middleware.sessions.codec import Codec
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.group_commit import GroupCommit
from chirp.middleware.sessions.merging import Write, Written, written
from chirp.middleware.sessions.metering import Lookup, batch_meter
from chirp.middleware.sessions.redis_client import Link, NoScriptError, NotSent, ResponseError, SentInVain
from chirp.middleware.sessions.redis_scripts import SWAP
from chirp.middleware.sessions.redis_steps import Operation
from chirp.middleware.sessions.redis_wire import Command, Read
from chirp.middleware.sessions.steps import Create, Reply, Swap

LONGEST_REASON = 500  # characters of an error's text
SCANNED_AT_ONCE = 1000  # keys that a node looks at for one reply: a millisecond or less of its time
KEY_BYTES = 100  # what a key takes on the wire, roughly

T = TypeVar("T")
WhenLost: TypeAlias = Literal["repeat", "fail", "tell"]


class NothingSent(StoreUnavailable):
    """The node could not be reached, and nothing of what was asked has left this process."""


class RedisNode:
    """A node's lanes; belongs to the event loop it is made in.

    Args:
        link: its connections.
        codec: opens and remakes documents where writes of one session meet.
        lifetime: gives their time to live.
        timeout_seconds: deadline of whatever is asked, from asking to the answer.

    Attributes:
        reads: takes keys; gives the value, or None where there is none (or none that is a string).
        swaps: takes compare-and-sets, which are made in the order in which they came.
        operations: takes the steps of one request, in order, and gives a reply for each.
        read: asks `reads`; what a `Cluster` has as well.
        write: makes a change, merged with others of the same session; asks `swaps`.
        run: asks `operations`.
    """

    def __init__(self, link: Link, codec: Codec, lifetime: Lifetime, timeout_seconds: float) -> None:
        self._link = link
        self._timeout_seconds = timeout_seconds
        self.reads: Batcher[str, bytes | None] = Batcher(
            self._send_reads, weigh=None, timeout_seconds=timeout_seconds, meter=batch_meter("reads")
        )
        self.swaps: Batcher[Swap, Written] = Batcher(
            self._send_swaps, weigh=_weigh_swap, timeout_seconds=timeout_seconds, meter=batch_meter("swaps")
        )
        self.operations: Batcher[Operation, list[Reply]] = Batcher(
            self._send_operations,
            weigh=_weigh_operation,
            timeout_seconds=timeout_seconds,
            meter=batch_meter("operations"),
        )
        # Attributes, since a method would be one more call for every request.
        self.read: Callable[[str], asyncio.Future[bytes | None]] = self.reads.ask
        writes = GroupCommit(self.swaps.ask, codec, lifetime, timeout_seconds=timeout_seconds)
        self.write: Callable[[Write], Awaitable[Written]] = writes.write
        self.run: Callable[[Operation], asyncio.Future[list[Reply]]] = self.operations.ask

    async def aclose(self) -> None:
        await self._link.aclose()

    async def scan(self, pattern: str) -> AsyncGenerator[tuple[list[str], float], None]:
        """Yield the keys that match, a few at a time, and how much of the node has been looked through, from 0 to 1.

        That is 0 until the end where the user may not call `DBSIZE`.

        Raises:
            StoreUnavailable: no reply within the timeout, or a refusal.
        """
        (told,) = await self._ask_alone([("DBSIZE",)])
        total, looked_at, cursor = max(told, 1) if isinstance(told, int) else math.inf, 0, b"0"
        while looked_at == 0 or cursor != b"0":
            command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED_AT_ONCE)
            ((cursor, keys),) = all_of(await self._ask_alone([command]))
            looked_at += SCANNED_AT_ONCE
            progress = 1.0 if cursor == b"0" else min(looked_at / total, 0.99)
            yield [key.decode("utf-8", "replace") for key in keys], progress

    async def look_up(self, name: Lookup, keys: Sequence[str]) -> list[Any]:
        """Return the reply of a command to each key; None where `GET` finds no string.

        For keys by the hundred that no request waits for: one round trip, less work for each than in a lane.

        Raises:
            StoreUnavailable: no reply within the timeout, or a refusal.
        """
        return all_of(await self.look_up_each(name, keys))

    async def look_up_each(self, name: Lookup, keys: Sequence[str]) -> list[Any]:
        """As `look_up`, but a refusal stands, as a `StoreUnavailable`, in place of the reply."""
        if not keys:
            return []  # an exchange has a reply to wait for
        return list(map(_value, await self._ask_alone([(name, key) for key in keys])))

    async def _ask_alone(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to commands that are no request's, so there is nothing to share a round trip with."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(commands, list, when_lost="repeat")
        except TimeoutError:
            raise StoreUnavailable(f"the store did not answer within {self._timeout_seconds} seconds") from None

    async def _send_reads(self, keys: Sequence[str], tell: Tell[bytes | None]) -> None:
        def read(replies: list[Any]) -> None:
            (values,) = replies
            if isinstance(values, ResponseError):
                raise unavailable(values)
            tell(values)

        await self._exchange([("MGET", *keys)], read, when_lost="repeat")

    async def _send_swaps(self, swaps: Sequence[Swap], tell: Tell[Written]) -> None:
        await self._run_swaps(swaps, lambda replies: tell(list(map(_answer, swaps, replies))))

    async def _run_swaps(self, swaps: Sequence[Swap], tell: Callable[[Sequence[Any]], None]) -> None:
        """Tell the script's reply to each swap."""
        keys = [swap.key for swap in swaps]
        arguments = [argument for swap in swaps for argument in redis_steps.swap_arguments(swap)]

        def read(replies: list[Any]) -> bool:
            (reply,) = replies
            if isinstance(reply, NoScriptError):  # so nothing of it happened
                return False
            if isinstance(reply, ResponseError):
                raise unavailable(reply)
            tell(reply)
            return True

        if not await self._exchange([redis_steps.call(SWAP, keys, arguments, cached=True)], read, when_lost="fail"):
            await self._exchange([redis_steps.call(SWAP, keys, arguments, cached=False)], read, when_lost="fail")

    async def _send_operations(self, operations: Sequence[Operation], tell: Tell[list[Reply]]) -> None:
        answers: list[list[Reply] | Exception] = [StoreUnavailable("not sent")] * len(operations)
        pending, again = list(range(len(operations))), False
        while pending:
            attempt = [operations[index] for index in pending]
            try:
                results = await self._try_operations(attempt, again=again)
            except StoreUnavailable as error:
                kind = StoreUnavailable if again else type(error)  # an earlier attempt was sent
                for index in pending:
                    answers[index] = unavailable(error.__cause__, kind)
                break
            except SentInVain as lost:
                failed = [index for index in pending if again or not redis_steps.may_repeat(operations[index])]
                for index in failed:
                    answers[index] = unavailable(lost.__cause__)
                pending = [index for index in pending if index not in failed]
                again = True
                continue
            unknown_script = []
            for index, result in zip(pending, results, strict=True):
                if isinstance(result, NoScriptError) and not again:
                    unknown_script.append(index)
                else:
                    answers[index] = unavailable(result) if isinstance(result, Exception) else result
            pending, again = unknown_script, True
        tell(answers)

    async def _try_operations(self, operations: Sequence[Operation], *, again: bool) -> list[Any]:
        parts = [redis_steps.commands_for(operation, again=again) for operation in operations]
        raw = await self._exchange([command for part in parts for command in part], list, when_lost="tell")
        results, position = [], 0
        for operation, part in zip(operations, parts, strict=True):
            results.append(redis_steps.replies_of(operation, raw[position : position + len(part)], again=again))
            position += len(part)
        return results

    async def _exchange(self, commands: Sequence[Command], read: Read[T], *, when_lost: WhenLost) -> T:
        """Exchange, and once more on a fresh connection if nothing was sent.

        Args:
            commands: each has one reply.
            read: as in `Link.exchange`.
            when_lost: what to do when commands were sent and no reply came: "repeat" them once, "fail", or "tell".

        Raises:
            StoreUnavailable: no reply came; `NothingSent` if nothing was sent either.
            SentInVain: the same, with `when_lost="tell"`: the commands may have happened.
        """
        kind: type[StoreUnavailable] = NothingSent
        for last in (False, True):
            try:
                return await self._link.exchange(commands, read)
            except NotSent as failed:
                if last:
                    raise unavailable(failed.__cause__, kind) from failed.__cause__
            except SentInVain as failed:
                if when_lost == "tell":
                    raise
                if last or when_lost == "fail":
                    raise unavailable(failed.__cause__) from failed.__cause__
                kind = StoreUnavailable
        raise AssertionError("unreachable: the second attempt returns or raises")


class ClusterNode(RedisNode):
    """A cluster's primary, sent a command for each key: keys in one command would have to share a slot.

    Errors that redirect (`MOVED`, `ASK`) are the cause of the `StoreUnavailable` that the waiter of that key gets.

    Args:
        link: its connections.
        codec: as in `RedisNode`.
        lifetime: as in `RedisNode`.
        timeout_seconds: as in `RedisNode`.
        asking: every command follows an `ASKING`, for a slot that is on its way to this node.
    """

    def __init__(self, link: Link, codec: Codec, lifetime: Lifetime, timeout_seconds: float, *, asking: bool) -> None:
        super().__init__(link, codec, lifetime, timeout_seconds)
        self._asking = asking

    async def _send_reads(self, keys: Sequence[str], tell: Tell[bytes | None]) -> None:
        def read(replies: list[Any]) -> None:
            tell(list(map(_value, replies)))

        await self._exchange([("GET", key) for key in keys], read, when_lost="repeat")

    async def _run_swaps(self, swaps: Sequence[Swap], tell: Callable[[Sequence[Any]], None]) -> None:
        replies = await self._exchange([_swap_command(swap, cached=True) for swap in swaps], list, when_lost="fail")
        unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            commands = [_swap_command(swaps[index], cached=False) for index in unknown]
            try:
                replies_again = await self._exchange(commands, list, when_lost="fail")
            except NothingSent as error:  # the other swaps of the batch were sent
                raise unavailable(error.__cause__) from error.__cause__
            for index, reply in zip(unknown, replies_again, strict=True):
                replies[index] = reply
        tell([reply[0] if isinstance(reply, list) else reply for reply in replies])

    async def _exchange(self, commands: Sequence[Command], read: Read[T], *, when_lost: WhenLost) -> T:
        if not self._asking:
            return await super()._exchange(commands, read, when_lost=when_lost)
        pairs: list[Command] = [each for command in commands for each in (("ASKING",), command)]
        return await super()._exchange(pairs, lambda replies: read(replies[1::2]), when_lost=when_lost)


def readable(cause: BaseException | None) -> str:
    """Return an error's text as one line of a log, whatever a server or something between has put into it."""
    text = str(cause).partition(", with args")[0][:LONGEST_REASON]
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def unavailable(cause: BaseException | None, kind: type[StoreUnavailable] = StoreUnavailable) -> StoreUnavailable:
    """Return the error for a refusal or a failed connection.

    Redis's texts name commands and hosts. One quotes arguments, and is cut before them: they may be the user's data.
    """
    error = kind(f"Redis did not do it: {type(cause).__name__}: {readable(cause)}")
    error.__cause__ = cause
    return error


def _answer(swap: Swap, raw: Any) -> Written | StoreUnavailable:
    """Read the script's reply to a swap. The error is a new object each time: shared, it would collect tracebacks."""
    if raw == 1:
        return Written(True, swap.document)
    reply = redis_steps.plain(raw)
    return unavailable(reply) if isinstance(reply, ResponseError) else written(swap, reply)


def all_of(replies: list[Any]) -> list[Any]:
    """Return replies among which there is no refusal; raise the first that there is."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise unavailable(reply)
        if isinstance(reply, StoreUnavailable):
            raise reply
    return replies


def _value(reply: Any) -> Any:
    if isinstance(reply, ResponseError):
        return None if redis_steps.plain(reply) is False else unavailable(reply)
    return reply


def _swap_command(swap: Swap, *, cached: bool) -> Command:
    return redis_steps.call(SWAP, [swap.key], redis_steps.swap_arguments(swap), cached=cached)


def _weigh_swap(swap: Swap) -> int:
    return KEY_BYTES + len(swap.expected) + len(swap.document)


def _weigh_operation(operation: Operation) -> int:
    return sum(KEY_BYTES + (len(step.document) if isinstance(step, Create | Swap) else 0) for step in operation)
