"""Steps as Redis commands, and their replies read back. Pure functions; connections are `redis_client`'s business.

An operation is the steps of one request, in order. Several steps travel in one `MULTI`, so they are atomic on one
node; what is correct does not depend on it, and on a cluster each step is an operation of its own.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, assert_never

from chirp.middleware.sessions.codec import Tombstone, write_tombstone
from chirp.middleware.sessions.redis_client import ResponseError
from chirp.middleware.sessions.redis_scripts import END, ENLIST, SWAP, Script
from chirp.middleware.sessions.redis_wire import Command
from chirp.middleware.sessions.steps import (
    Announce,
    Create,
    Delete,
    Delist,
    End,
    Enlist,
    Look,
    Members,
    Reply,
    Step,
    Swap,
)

Operation: TypeAlias = Sequence[Step]

BLANK = write_tombstone(Tombstone())


def call(script: Script, keys: Sequence[str], arguments: Sequence[bytes | str | int], *, cached: bool) -> Command:
    """Return the command that runs a script, by its hash or (which also caches it) by its source."""
    name = ("EVALSHA", script.sha) if cached else ("EVAL", script.source)
    return (*name, len(keys), *keys, *arguments)


def swap_arguments(swap: Swap) -> tuple[bytes, bytes, int]:
    return swap.expected, swap.document, swap.ttl_ms


def may_repeat(operation: Operation) -> bool:
    """Tell whether an operation of unknown fate may be sent again.

    Never one with a compare-and-set: repeating it can put back what another request has consumed meanwhile.
    """
    return not any(isinstance(step, Swap) for step in operation)


def commands_for(operation: Operation, *, again: bool) -> list[Command]:
    """Return the commands of an operation.

    Args:
        operation: the steps.
        again: it is repeated: recognise what the first attempt may have created, and send scripts by source.
    """
    commands = [command for step in operation for command in _commands_of(step, again=again)]
    return [("MULTI",), *commands, ("EXEC",)] if len(operation) > 1 else commands


def _commands_of(step: Step, *, again: bool) -> list[Command]:
    match step:
        case Create(key, document, ttl_ms):
            create: Command = ("SET", key, document, "NX", "PX", ttl_ms)
            return [create, ("GET", key)] if again else [create]
        case Look(key):
            return [("GET", key)]
        case End(key, grace_ms):
            return [call(END, [key], [grace_ms, BLANK], cached=not again)]
        case Swap(key):
            return [call(SWAP, [key], swap_arguments(step), cached=not again)]
        case Delete(key):
            return [("DEL", key)]
        case Enlist(key, member, until, over, ttl_ms):
            return [call(ENLIST, [key], [member, repr(until), repr(over), ttl_ms], cached=not again)]
        case Delist(key, members):
            return [("ZREM", key, *members)]
        case Members(key):
            return [("ZRANGE", key, 0, -1)]
        case Announce(key, message):
            return [("PUBLISH", key, message)]
        case never:
            assert_never(never)


def replies_of(operation: Operation, raw: Sequence[Any], *, again: bool) -> list[Reply] | ResponseError:
    """Return a reply for each step, or the error with which the operation failed.

    Args:
        operation: the steps.
        raw: a reply for each of `commands_for(operation, again=again)`.
        again: as given there.
    """
    if len(operation) > 1:
        if isinstance(raw[0], ResponseError):
            raw = [None, raw[1:-1]]  # MULTI was refused, so the steps were taken one by one, in order, as on a cluster
        elif isinstance(raw[-1], ResponseError):
            # EXEC says only that something was refused; the refused command says why.
            return next(reply for reply in raw if isinstance(reply, ResponseError))
        raw = raw[-1]
    replies: list[Reply] = []
    position = 0
    for step in operation:
        reply = _reply_of(step, raw[position : position + 2])
        if isinstance(reply, ResponseError):
            return reply
        replies.append(reply)
        position += 2 if again and isinstance(step, Create) else 1
    return replies


def _reply_of(step: Step, raw: Sequence[Any]) -> Reply | ResponseError:
    first = raw[0]
    match step:
        case Create(_, document, _):
            if isinstance(first, ResponseError):
                return first
            return first is not None or raw[1:] == [document]
        case Look() | End():
            return plain(first)
        case Swap():
            return plain(first[0]) if isinstance(first, list) else plain(first)
        case Delete():
            return first if isinstance(first, ResponseError) else True
        case Enlist() | Announce():
            return first if isinstance(first, ResponseError) else True
        case Delist():
            reply = plain(first)
            return reply if isinstance(reply, ResponseError) else True
        case Members():
            reply = first if isinstance(first, list) else plain(first)
            return reply if isinstance(reply, list | ResponseError) else []
        case never:
            assert_never(never)


def plain(raw: Any) -> Reply | ResponseError:
    """Read what a command or a script says of one key; a value of a wrong type is no session and no index."""
    if isinstance(raw, ResponseError):
        return False if "WRONGTYPE" in str(raw) else raw
    return raw if isinstance(raw, bytes) else bool(raw)
