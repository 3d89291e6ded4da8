"""One keep-alive connection: it sends prepared bytes, and knows the one right answer."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import cast

from benchmarks.contenders.contender import WrongSessionError
from benchmarks.sessions import FIRST_COUNT

OK = b"HTTP/1.1 200"
HEAD_END = b"\r\n\r\n"
SET_COOKIE = b"set-cookie: "  # ASGI has names of headers in lower case, and uvicorn leaves them so

Answered = Callable[[float], bool]  # told the seconds that the answer took; whether another request is to follow


class Browser(asyncio.Protocol):
    """A browser with a session of its own, one request at a time.

    Args:
        name: in its session; answers to `/read` and `/change` show it.

    Attributes:
        answers: how many there were.
        changes: how many it has asked for.
    """

    def __init__(self, name: str) -> None:
        self.answers = 0
        self.changes = 0
        self._name = name
        self._path = ""
        self._cookie = b""
        self._request = b""
        self._received = b""
        self._right_end = b""  # of the one right answer; empty when only its status is known beforehand
        self._began = 0.0
        self._answered: Answered | None = None
        self._done: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def close(self) -> None:
        self._transport.close()

    async def get(self, path: str) -> bytes:
        """Ask once and return the body.

        Raises:
            WrongSessionError: another status than 200.
            ConnectionError: the server has closed the connection.
        """
        self._answered, self._right_end = None, b""
        return await self._start(path)

    async def keep_asking(self, action: str, answered: Answered) -> None:
        """Take the action again and again, until `answered` says that it is enough.

        Raises:
            WrongSessionError: an answer was not the right one.
            ConnectionError: the server has closed the connection.
        """
        self._answered = answered
        self._path = f"/{action}"
        self._expect()
        await self._start(self._path)

    async def _start(self, path: str) -> bytes:
        self._path = path
        self._prepare()
        self._done = asyncio.get_running_loop().create_future()
        self._send()
        return await self._done

    def _expect(self) -> None:
        self.changes += self._path == "/change"
        self._right_end = HEAD_END + f"{self._name}: {FIRST_COUNT + self.changes}".encode("ascii")

    def _prepare(self) -> None:
        cookie = b"cookie: %s\r\n" % self._cookie if self._cookie else b""
        self._request = b"GET %s HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n%s\r\n" % (self._path.encode(), cookie)

    def _send(self) -> None:
        self._began = perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._done is None or self._done.done():
            self._fail(WrongSessionError(f"{data[:200]!r} came unasked"))
            return
        data = self._received + data
        right = data.startswith(OK) and self._right_end and data.endswith(self._right_end)
        if not right and not is_whole(data):
            self._received = data
            return
        took = perf_counter() - self._began
        self._received = b""
        self.answers += 1
        if not right and (self._right_end or not data.startswith(OK)):
            expected = self._right_end.removeprefix(HEAD_END) or "a 200"
            self._fail(WrongSessionError(f"{self._path} gave {data!r}, and {expected!r} is right"))
            return
        if SET_COOKIE in data:
            self._take_cookie(data)
        if self._answered is None or not self._answered(took):
            self._done.set_result(data.partition(HEAD_END)[2])
            return
        if self._path == "/change":
            self._expect()
        self._send()

    def _take_cookie(self, data: bytes) -> None:
        begin = data.index(SET_COOKIE) + len(SET_COOKIE)
        cookie = data[begin : data.index(b"\r\n", begin)].partition(b";")[0]
        if cookie != self._cookie:
            self._cookie = cookie
            self._prepare()

    def _fail(self, error: Exception) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(error)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("the server has closed the connection"))


def is_whole(data: bytes) -> bool:
    """Tell whether a response is all there, going by its Content-Length, which every contender's responses have."""
    head, found, body = data.partition(HEAD_END)
    if not found:
        return False
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return len(body) >= int(rest.partition(b"\r\n")[0] or 0)
