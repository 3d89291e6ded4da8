"""A TCP proxy in front of a real server, for failures that the server alone cannot be made to show."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import hiredis

CHUNK_BYTES = 1 << 16
TURNS = 10  # of the loop, until what is accepted is served; asyncio loses it if the server closes before


class Wire:
    """One client's connection through the proxy.

    Attributes:
        open: replies pass while it is set; requests always do.
        sent: every byte the client has sent.
        cut: the next reply is thrown away and the connection closed.
        lost: nothing passes any more in either direction, and neither end is told: the network went away.
        round_trips: how often the client has sent something after it had its reply; what it sends before that is
            pipelined, and costs none of its own.
    """

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.sent = b""
        self.cut = False
        self.lost = False
        self.round_trips = 0
        self._answered = True

    def request(self, data: bytes) -> None:
        self.sent += data
        self.round_trips += self._answered
        self._answered = False

    def reply(self) -> None:
        self._answered = True


class Proxy:
    """Forwards each connection to `port`, and meddles with replies as told.

    Attributes:
        url: where it listens, as a client is told; `listens_on` is its port.
        port: of the server on 127.0.0.1 that new connections lead to; may be changed.
        wires: every connection ever made, in order.
        lose_reply_to: the reply to the next request that contains these bytes is lost, once, after the server has
            carried it out.
        delay: called for each piece of a reply; seconds to hold it back.
        accept_open: whether new connections pass replies.
        accept_lost: whether new connections are made and then lost.
        passing: what clients send is passed on while it is set, and later otherwise, even when they have gone by then.
        halve_replies: of each reply only the first half passes, and then the connection is closed.
        error: what each command is answered with, as it is on the wire, instead of being passed on.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.wires: list[Wire] = []
        self.lose_reply_to: bytes | None = None
        self.delay: Callable[[], float] | None = None
        self.accept_open = True
        self.accept_lost = False
        self.passing = asyncio.Event()
        self.passing.set()
        self.halve_replies = False
        self.error: bytes | None = None
        self.url = ""
        self.listens_on = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._requested = asyncio.Condition()

    async def sent(self, is_there: Callable[[bytes], bool], seconds: float = 5) -> None:
        """Wait until what the clients have sent, all of it, fulfils a condition."""

        def fulfilled() -> bool:
            return is_there(b"".join(wire.sent for wire in self.wires))

        async with asyncio.timeout(seconds), self._requested:
            await self._requested.wait_for(fulfilled)

    @property
    def round_trips(self) -> int:
        """Those of all connections ever made."""
        return sum(wire.round_trips for wire in self.wires)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = Wire()
        if not self.accept_open:
            wire.open.clear()
        wire.lost = self.accept_lost
        self.wires.append(wire)
        back = None
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.port)
            back = asyncio.create_task(self._answer(wire, server_reader, writer))
            try:
                await self._request(wire, reader, server_writer, writer)
            finally:
                server_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            if back is not None:
                back.cancel()
            writer.close()
            self._tasks.discard(task)

    async def _request(
        self, wire: Wire, reader: asyncio.StreamReader, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self.passing.wait()
            wire.request(data)
            if wire.lost:
                continue
            if self.error is not None:
                client.write(self.error * _commands_in(data))
                continue
            if self.lose_reply_to is not None and self.lose_reply_to in data:
                self.lose_reply_to = None
                wire.cut = True
            server.write(data)
            await server.drain()
            async with self._requested:
                self._requested.notify_all()

    async def _answer(self, wire: Wire, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await server.read(CHUNK_BYTES):
                await wire.open.wait()
                if wire.lost:
                    continue
                if wire.cut:
                    break
                if self.halve_replies:
                    writer.write(data[: len(data) // 2])
                    break
                wire.reply()
                await self._deliver(data, writer)
        writer.close()

    async def _deliver(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        half = len(data) // 2
        for piece in (data[:half], data[half:]):
            if self.delay is not None:
                await asyncio.sleep(self.delay())
            writer.write(piece)
            await writer.drain()

    def lose_network(self) -> None:
        """Lose every connection there is and every one that comes, until `accept_lost` is set back."""
        self.accept_lost = True
        for wire in self.wires:
            wire.lost = True

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed is gone with the next turn of the loop, which may be its last one


def _commands_in(data: bytes) -> int:
    commands = hiredis.Reader()
    commands.feed(data)
    return sum(1 for _ in iter(commands.gets, False))


@asynccontextmanager
async def proxied(url: str, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy to the server at `url`; its own address is `proxy.url`. With `tls` it speaks TLS to its clients."""
    parts = urlsplit(url)
    proxy = Proxy(parts.port or 6379)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", ssl=tls) as listening:
        proxy.listens_on = listening.sockets[0].getsockname()[1]
        proxy.url = f"{'redis' if tls is None else 'rediss'}://127.0.0.1:{proxy.listens_on}{parts.path}"
        try:
            yield proxy
        finally:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            listening.close()
            await proxy.stop()
