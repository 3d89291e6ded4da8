"""Sessions on one Redis or Valkey node: what requests ask for, batched into few round trips."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.batch import Batcher
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.redis_scripts import SWAP
from chirp.middleware.sessions.server_side import ServerSideStore
from chirp.middleware.sessions.steps import (
    Create,
    Delete,
    End,
    Folded,
    Reply,
    Step,
    Swap,
    Write,
    Written,
    fold,
    written,
)

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool, Redis

    from chirp.middleware.sessions.redis_client import Command, Link
    from chirp.middleware.sessions.redis_steps import Operation

try:
    from chirp.middleware.sessions import redis_client, redis_steps
except ImportError as missing:  # the package redis is an extra; without it the store says so when it is made
    _missing: ImportError | None = missing
else:
    _missing = None

LONGEST_PREFIX = 512
KEY_BYTES = 100  # what a key takes on the wire, roughly


class _Lanes:
    """One event loop's batchers, one for each kind of round trip, and the link they share."""

    __slots__ = ("link", "reads", "steps", "swaps")

    def __init__(self, store: "RedisSessionStore", link: "Link", timeout_seconds: float) -> None:
        self.link = link
        self.reads: Batcher[str, bytes | None] = Batcher(
            partial(store._send_reads, link), weigh=len, timeout_seconds=timeout_seconds
        )
        self.swaps: Batcher[Write, Written] = Batcher(
            partial(store._send_swaps, link), weigh=_weigh_write, timeout_seconds=timeout_seconds
        )
        self.steps: Batcher[Operation, list[Reply]] = Batcher(
            partial(store._send_steps, link), weigh=_weigh_operation, timeout_seconds=timeout_seconds
        )


class RedisSessionStore(ServerSideStore):
    """Keeps sessions in Redis (6.2 or later) or Valkey, through a pool that is made lazily for each event loop.

    Args:
        config: the settings.
        redis_url: redis://, rediss:// or unix://; the store makes and closes its own pool.
        key_prefix: what every key starts with.
        client: a `redis.asyncio.Redis`, never closed here and good for one event loop; or a function without
            arguments that returns one, called once per event loop, whose clients the store closes.
        pool: a `redis.asyncio.ConnectionPool`, never closed here and good for one event loop. It may be shared.
        timeout_seconds: deadline of one step (a load, a save), from asking to the answer, retry included.
        max_connections: used at once, per event loop.
        clock: returns Unix seconds; give your own to move time in tests.

    Raises:
        ConfigurationError: not exactly one of `redis_url`, `client` and `pool`, or one that cannot work; or the
            package redis is not installed.
    """

    def __init__(
        self,
        config: SessionConfig,
        redis_url: str | None = None,
        key_prefix: str = "chirp:session:",
        *,
        client: "Redis | Callable[[], Redis] | None" = None,
        pool: "ConnectionPool | None" = None,
        timeout_seconds: float = 2.0,
        max_connections: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if _missing is not None:
            raise ConfigurationError(
                "RedisSessionStore needs the package redis: pip install 'chirp-sessions[redis]'"
            ) from _missing
        _check(key_prefix, timeout_seconds, max_connections)
        super().__init__(config, key_prefix, clock=clock)
        self._timeout_seconds = timeout_seconds
        self._source = redis_client.source_of(redis_url, client, pool, max_connections=max_connections)
        self._loops = redis_client.PerLoop(self._make_lanes, self._close_lanes)
        self._max_connections = max_connections
        self._bound_to: weakref.ref[asyncio.AbstractEventLoop] | None = None

    def __repr__(self) -> str:
        return f"<RedisSessionStore: keys {self.key_prefix}*, in use on {len(self._loops)} event loops>"

    async def aclose(self) -> None:
        await self._loops.aclose()

    def _make_lanes(self) -> _Lanes:
        loop = asyncio.get_running_loop()
        if self._source.injected:
            if self._bound_to is not None and self._bound_to() is not loop:
                raise ConfigurationError(
                    "the injected client or pool is in use on another event loop, and its connections belong there; "
                    "pass client= a function that makes one for each loop, or pass redis_url"
                )
            self._bound_to = weakref.ref(loop)
        return _Lanes(self, redis_client.Link(self._source, self._max_connections), self._timeout_seconds)

    @staticmethod
    async def _close_lanes(lanes: _Lanes) -> None:
        await lanes.link.aclose()

    async def _read(self, key: str) -> bytes | None:
        return await self._loops.get().reads.ask(key)

    async def _write(self, write: Write) -> Written:
        return await self._loops.get().swaps.ask(write)

    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        try:
            return await self._loops.get().steps.ask(steps)
        except StoreUnavailable as error:
            await self._clean_up(steps, error.__cause__)
            raise

    async def _clean_up(self, steps: Sequence[Step], refusal: BaseException | None) -> None:
        """After the server refused an operation, take back what it created, and do what it can still do of an end."""
        if not isinstance(refusal, redis_client.ResponseError):
            return  # nothing is known of its fate
        undo: list[Step] = [Delete(step.key) for step in steps[:-1] if isinstance(step, Create | Swap)]
        if isinstance(refusal, redis_client.OutOfMemoryError):
            # A tombstone needs memory, and a logout must not wait for it.
            undo += [replace(step, grace_ms=0) for step in steps if isinstance(step, End) and step.grace_ms]
        for step in undo:
            with contextlib.suppress(StoreUnavailable):
                await self._loops.get().steps.ask([step])

    async def _send_reads(self, link: "Link", keys: Sequence[str]) -> list[bytes | None]:
        (values,) = await self._exchange(link, [("MGET", *keys)], when_lost="repeat")
        if isinstance(values, redis_client.ResponseError):
            raise _unavailable(values)
        found: list[bytes | None] = values
        return found

    async def _send_swaps(self, link: "Link", writes: Sequence[Write]) -> list[Written | Exception]:
        groups: dict[str, list[int]] = {}
        for index, write in enumerate(writes):
            groups.setdefault(write.swap.key, []).append(index)
        folds = [
            fold([writes[index] for index in group], self._codec, self._lifetime)
            if len(group) > 1
            else Folded(writes[group[0]].swap, [0], {})
            for group in groups.values()
        ]
        arguments = [argument for folded in folds for argument in redis_steps.swap_arguments(folded.swap)]
        replies = await self._run_swaps(link, list(groups), arguments)
        answers: list[Written | Exception] = [Written(False, None)] * len(writes)
        for group, folded, raw in zip(groups.values(), folds, replies, strict=True):
            reply = redis_steps.plain(raw)
            for member in folded.members:
                answers[group[member]] = (
                    written(folded.swap, reply) if isinstance(reply, bool | bytes) else _unavailable(reply)
                )
            for position, answer in folded.losers.items():
                answers[group[position]] = answer
        return answers

    async def _run_swaps(self, link: "Link", keys: Sequence[str], arguments: Sequence[bytes | int]) -> list[Any]:
        command = redis_steps.call(SWAP, keys, arguments, cached=True)
        (replies,) = await self._exchange(link, [command], when_lost="fail")
        if isinstance(replies, redis_client.NoScriptError):  # so nothing of it happened
            command = redis_steps.call(SWAP, keys, arguments, cached=False)
            (replies,) = await self._exchange(link, [command], when_lost="fail")
        if isinstance(replies, redis_client.ResponseError):
            raise _unavailable(replies)
        return list(replies)

    async def _send_steps(self, link: "Link", operations: Sequence["Operation"]) -> list[list[Reply] | Exception]:
        answers: list[list[Reply] | Exception] = [StoreUnavailable("not sent")] * len(operations)
        pending, again = list(range(len(operations))), False
        while pending:
            attempt = [operations[index] for index in pending]
            try:
                results = await self._try_steps(link, attempt, again=again)
            except StoreUnavailable as error:
                for index in pending:
                    answers[index] = _unavailable(error.__cause__)
                break
            except redis_client.SentInVain as lost:
                failed = [index for index in pending if again or not redis_steps.may_repeat(operations[index])]
                for index in failed:
                    answers[index] = _unavailable(lost.__cause__)
                pending = [index for index in pending if index not in failed]
                again = True
                continue
            unknown_script = []
            for index, result in zip(pending, results, strict=True):
                if isinstance(result, redis_client.NoScriptError) and not again:
                    unknown_script.append(index)
                else:
                    answers[index] = _unavailable(result) if isinstance(result, Exception) else result
            pending, again = unknown_script, True
        return answers

    async def _try_steps(self, link: "Link", operations: Sequence["Operation"], *, again: bool) -> list[Any]:
        parts = [redis_steps.commands_for(operation, again=again) for operation in operations]
        raw = await self._exchange(link, [command for part in parts for command in part], when_lost="tell")
        results, position = [], 0
        for operation, part in zip(operations, parts, strict=True):
            results.append(redis_steps.replies_of(operation, raw[position : position + len(part)], again=again))
            position += len(part)
        return results

    @staticmethod
    async def _exchange(
        link: "Link", commands: Sequence["Command"], *, when_lost: Literal["repeat", "fail", "tell"]
    ) -> list[Any]:
        """Exchange, and once more on a fresh connection if nothing was sent.

        Args:
            link: where to.
            commands: each has one reply.
            when_lost: what to do when commands were sent and no reply came: "repeat" them once, "fail", or "tell".

        Raises:
            StoreUnavailable: no reply came.
            SentInVain: the same, with `when_lost="tell"`: the commands may have happened.
        """
        for last in (False, True):
            try:
                return await link.exchange(commands, len(commands))
            except redis_client.NotSent as failed:
                if last:
                    raise _unavailable(failed.__cause__) from failed.__cause__
            except redis_client.SentInVain as failed:
                if when_lost == "tell":
                    raise
                if last or when_lost == "fail":
                    raise _unavailable(failed.__cause__) from failed.__cause__
        raise AssertionError("unreachable: the second attempt returns or raises")


def _unavailable(cause: BaseException | None) -> StoreUnavailable:
    """Return the error for a refusal or a failed connection.

    Redis's texts name commands and hosts. One quotes arguments, and is cut before them: they may be the user's data.
    """
    text = str(cause).partition(", with args")[0]
    error = StoreUnavailable(f"Redis did not do it: {type(cause).__name__}: {text}")
    error.__cause__ = cause
    return error


def _weigh_write(write: Write) -> int:
    return KEY_BYTES + len(write.swap.expected) + len(write.swap.document)


def _weigh_operation(operation: Sequence[Step]) -> int:
    return sum(KEY_BYTES + (len(step.document) if isinstance(step, Create | Swap) else 0) for step in operation)


def _check(key_prefix: str, timeout_seconds: float, max_connections: int) -> None:
    if (
        not isinstance(key_prefix, str)
        or not key_prefix
        or len(key_prefix) > LONGEST_PREFIX
        or not key_prefix.isprintable()
    ):
        raise ConfigurationError(
            f"key_prefix={key_prefix!r}: must be 1 to {LONGEST_PREFIX} printable characters, such as 'myapp:session:'"
        )
    if (
        isinstance(timeout_seconds, bool)
        or not isinstance(timeout_seconds, int | float)
        or not 0 < timeout_seconds <= 60
    ):
        raise ConfigurationError(f"timeout_seconds={timeout_seconds!r}: must be more than 0 and at most 60 seconds")
    if isinstance(max_connections, bool) or not isinstance(max_connections, int) or not 1 <= max_connections <= 1000:
        raise ConfigurationError(f"max_connections={max_connections!r}: must be from 1 to 1000")
