"""The network between the workers and their server: it can be cut, and joined again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 1 << 16


class Cable:
    """Carries bytes between whoever connects and a server on loopback.

    Args:
        port: of the server.

    Attributes:
        url: to connect to instead of the server's.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self._port = port
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Break every connection, and each new one, with a reset."""
        self._is_cut = True
        self.reset()

    def join(self) -> None:
        self._is_cut = False

    def reset(self) -> None:
        """Break every connection, with what is on its way in both directions."""
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        ends = {writer}
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
            ends.add(server_writer)
            self._ends |= ends
            await asyncio.gather(_pass_on(reader, server_writer), _pass_on(server_reader, writer))
        except OSError:
            pass
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def cable_to(port: int) -> AsyncIterator[Cable]:
    cable = Cable(port)
    async with await asyncio.start_server(cable.carry, "127.0.0.1") as listening:
        cable.url = f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
        try:
            yield cable
        finally:
            listening.close()
            cable.cut()
            await asyncio.sleep(0)
