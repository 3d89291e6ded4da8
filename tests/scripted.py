"""A server that speaks Redis's protocol and says what a test has it say, for replies that a real one never gives."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import hiredis

OK = b"+OK\r\n"


class Scripted:
    """Answers each command with what `reply` gives for it, as it is on the wire; None says nothing.

    Attributes:
        url: of the server.
        port: of the server.
        connections: every connection ever made, in order.
        asked: the commands that came, without those that a client greets with.
        close: takes no new connections any more.
    """

    close: Callable[[], None]

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.reply: Callable[[Sequence[bytes]], bytes | None] = lambda command: OK
        self.connections: list[asyncio.StreamWriter] = []
        self.asked: list[Sequence[bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        commands = hiredis.Reader()
        try:
            while data := await reader.read(1 << 16):
                commands.feed(data)
                while command := commands.gets():
                    self._answer(command, writer)
        except OSError:
            pass
        finally:
            writer.close()

    def _answer(self, command: Sequence[bytes], writer: asyncio.StreamWriter) -> None:
        if command[0] == b"CLIENT":
            writer.write(OK)
            return
        self.asked.append(command)
        answer = self.reply(command)
        if answer is not None:
            writer.write(answer)


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    server = Scripted()
    async with await asyncio.start_server(server.serve, "127.0.0.1") as listening:
        server.port = listening.sockets[0].getsockname()[1]
        server.url = f"redis://127.0.0.1:{server.port}"
        server.close = listening.close
        try:
            yield server
        finally:
            listening.close()
            for writer in server.connections:
                writer.close()


def bulk(*values: bytes | None) -> bytes:
    """Return an array of strings as it is on the wire."""
    parts = [b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value) for value in values]
    return b"*%d\r\n%s" % (len(values), b"".join(parts))
