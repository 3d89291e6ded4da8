"""One connection to Redis, and how commands and replies travel on it.

redis-py makes every connection, with its TLS, user, password and database. What happens on it then is one of two
things, and `wire_over` decides which:

- `DirectWire` takes it over from redis-py's streams, packs and parses with hiredis, and lives in the event loop's own
  callbacks. So no coroutine runs between the reply's arrival and the one who waits for it.
- `PlainWire` uses redis-py's own methods. It is for connections that others use too, and for those that do more than
  to read replies: of RESP3, or of a class that has its own way of reading, such as a Sentinel's.

A wire takes one exchange at a time and knows no deadline: whoever awaits an exchange cancels it, and closes the wire.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import InvalidResponse, OutOfMemoryError, ReadOnlyError, ResponseError

Reader: Any
pack_command: Callable[[Any], bytes] | None
try:
    from hiredis import Reader, pack_command
except ImportError:  # without hiredis, redis-py packs and parses in Python
    pack_command = None

T = TypeVar("T")

Command: TypeAlias = tuple[str | bytes | int, ...]
Read: TypeAlias = Callable[[list[Any]], T]  # of the replies: raw bytes, numbers, lists, ResponseError objects

# Redis 6.2 puts the place in the script before what a command was refused with; 7.0 and newer give that alone.
_WRAPPED = re.compile(r"@user_script: ?\d+: -(READONLY|OOM) (.*)")
_CODES: dict[str, type[ResponseError]] = {"READONLY": ReadOnlyError, "OOM": OutOfMemoryError}

NOT_YET = object()  # in place of a reply that has not arrived in full


class Wire(ABC):
    """A connection that takes exchanges.

    Attributes:
        connection: redis-py's.
    """

    connection: AbstractConnection

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether an exchange may begin; if not, the pool has to see to the connection first."""

    @property
    @abstractmethod
    def intact(self) -> bool:
        """Whether every reply of the last exchange has come, and the server is one to go on with."""

    @abstractmethod
    def exchange(self, commands: Sequence[Command], read: Read[T]) -> Awaitable[T]:
        """Send commands in one write, and give what `read` makes of their replies.

        Args:
            commands: at least one; each has one reply.
            read: is called as soon as the replies are there; what it raises is raised to whoever awaits.

        Raises:
            RedisError, OSError: the connection failed; the commands may have been carried out.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connection at once; what is under way on it fails."""

    @abstractmethod
    async def hand_back(self) -> None:
        """Leave the connection to redis-py, which can then tell whether it has to connect anew."""


class DirectWire(Wire, asyncio.Protocol):
    """A connection of the store's own, on which redis-py's streams do not take part any more.

    They are told when the connection ends, so redis-py can close it and connect anew.
    """

    def __init__(self, connection: AbstractConnection, transport: Any, error_of: Callable[[str], Exception]) -> None:
        self.connection = connection
        self._transport = transport
        self._error_of = error_of
        self._streams = transport.get_protocol()
        self._parser = Reader(protocolError=InvalidResponse, replyError=self._refused, notEnoughData=NOT_YET)
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._outdated = False
        self._missing = 0
        self._replies: list[Any] = []
        self._read: Read[Any] = list
        self._waiter: asyncio.Future[Any] | None = None
        self._transport.set_protocol(self)

    @property
    def ready(self) -> bool:
        return not (self._ended or self._transport.is_closing())

    @property
    def intact(self) -> bool:
        return not (self._missing or self._outdated)

    def exchange(self, commands: Sequence[Command], read: Read[T]) -> Awaitable[T]:
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._waiter, self._read, self._missing = waiter, read, len(commands)
        self._transport.write(b"".join(map(pack_command, commands)))  # type: ignore[arg-type]
        return waiter

    async def close(self) -> None:
        self._transport.abort()  # `close` would first wait for a server that takes nothing any more
        self._forget()
        await self.connection.disconnect(nowait=True)

    async def hand_back(self) -> None:
        await self.close()  # redis-py's streams have missed what came, and do not know yet of an end that is near

    def data_received(self, data: bytes) -> None:
        waiter, parser = self._waiter, self._parser
        if waiter is None or waiter.done():  # nobody asked, or nobody waits any more: whose reply comes next is unclear
            self._transport.abort()
            return
        try:
            parser.feed(data)
            while self._missing:
                reply = parser.gets(False)
                if reply is NOT_YET:
                    return
                if isinstance(reply, ConnectionFailed):  # such as LOADING
                    raise reply  # noqa: TRY301 - an error in place of a reply, as redis-py has it
                self._replies.append(reply)
                self._missing -= 1
            result = self._read(self._replies)
        except Exception as error:  # noqa: BLE001 - it is raised to who waits, and not to the event loop
            waiter.set_exception(error)
        else:
            waiter.set_result(result)
        self._forget()
        if parser.has_data():
            self._transport.abort()

    def eof_received(self) -> None:
        self._ended = True  # TLS does not call its transport closing before it has told that the connection is lost

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            failed = ConnectionFailed("the server closed the connection")
            failed.__cause__ = exc
            self._waiter.set_exception(failed)
        self._streams.connection_lost(exc)

    def _forget(self) -> None:
        """Let go of the last exchange's documents: a connection may be idle for long."""
        self._read, self._replies = list, []

    def _refused(self, text: str) -> Exception:
        """Return the error for a reply's text; hiredis calls it, also for those inside of other replies."""
        error: Exception = as_said(self._error_of(text))
        self._outdated = self._outdated or isinstance(error, ReadOnlyError)
        return error


class PlainWire(Wire):
    """A connection as redis-py gives it. Replies are raw bytes all the same, whatever the client's settings."""

    ready = False  # nobody but the pool knows what others have done with it

    def __init__(self, connection: AbstractConnection) -> None:
        self.connection = connection
        self._intact = False

    @property
    def intact(self) -> bool:
        return self._intact

    async def exchange(self, commands: Sequence[Command], read: Read[T]) -> T:
        connection = self.connection
        self._intact = False
        if pack_command is not None:
            packed: Any = b"".join(map(pack_command, commands))
        else:
            packed = connection.pack_commands(commands)
        await connection.send_packed_command(packed, check_health=False)
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(as_said(await connection.read_response(disable_decoding=True)))
            except ResponseError as error:
                replies.append(as_said(error))
        self._intact = not _has_error(replies, ReadOnlyError)
        return read(replies)

    async def close(self) -> None:
        await self.connection.disconnect(nowait=True)

    async def hand_back(self) -> None:
        pass


def wire_over(connection: AbstractConnection, *, owned: bool) -> Wire:
    """Return the wire for a connection that the pool has just made ready.

    Args:
        connection: connected, and with nothing under way.
        owned: whether nobody else will ever use it.
    """
    transport = _transport_of(connection)
    error_of = getattr(getattr(connection, "_parser", None), "parse_error", None)
    reads_as_usual = type(connection).read_response is AbstractConnection.read_response
    resp2 = connection.get_protocol() in (2, "2")  # type: ignore[no-untyped-call]
    if owned and reads_as_usual and resp2 and transport and error_of and pack_command:
        return DirectWire(connection, transport, error_of)
    return PlainWire(connection)


def is_lost(connection: AbstractConnection) -> bool:
    """Tell whether a connection has ended without redis-py's knowing.

    It does not see a reset while nobody reads, nor that the server has closed a connection on which it awaits
    notifications of maintenance, as it does by default with RESP3.
    """
    transport = _transport_of(connection)
    reader = getattr(connection, "_reader", None)
    return (transport is not None and transport.is_closing()) or (reader is not None and reader.at_eof())


def _transport_of(connection: AbstractConnection) -> Any:
    return getattr(getattr(connection, "_writer", None), "transport", None)


def as_said(reply: Any) -> Any:
    """Return a reply; of an error that Redis 6.2 has wrapped in the words of a script, the one the command had.

    Errors inside of a reply, of a script or a transaction, are replaced as well.
    """
    if type(reply) is list:
        return [as_said(each) if type(each) in (ResponseError, list) else each for each in reply]
    found = _WRAPPED.search(str(reply)) if type(reply) is ResponseError else None
    return reply if found is None else _CODES[found[1]](found[2])


def _has_error(replies: Sequence[Any], kind: type[Exception]) -> bool:
    """Tell whether a reply, or one inside a reply of EXEC or a script, is such an error."""
    kinds = set(map(type, replies))
    return kind in kinds or (list in kinds and any(_has_error(inner, kind) for inner in replies if type(inner) is list))
