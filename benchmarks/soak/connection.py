"""HTTP as a browser speaks it: a few keep-alive connections to each worker, one request at a time on each."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
COOKIE = "chirp_session"
IDLE_SECONDS = 3.0  # uvicorn closes a connection that is idle for 5 s
PATIENCE_SECONDS = 20.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and when it was there.

    Attributes:
        status: of HTTP.
        session: the body, an object of JSON; empty where it is none.
        cookie: the session's as it was set; None: it was not, "": it was deleted.
        at: when it had come, on the clock `time.monotonic`.
    """

    status: int
    session: dict[str, Any]
    cookie: str | None
    at: float


class BrokenError(Exception):
    """The connection ended, or nothing came for too long; the request may have been carried out."""


class Connections:
    """Of one browser to one worker."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, Streams]] = []

    async def ask(self, path: str, cookie: str | None) -> Answer:
        """Make one request.

        Raises:
            BrokenError: there was no whole response.
        """
        header = f"cookie: {COOKIE}={cookie}\r\n" if cookie else ""
        method = "GET" if path == "/read" else "POST"
        request = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n{header}\r\n".encode("ascii")
        streams = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                streams = self._take() or await asyncio.open_connection(HOST, self._port)
                reader, writer = streams
                writer.write(request)
                answer = await _answer(reader)
        except BaseException as error:
            if streams is not None:
                streams[1].close()
            if not isinstance(error, OSError | EOFError | TimeoutError | ValueError):
                raise
            raise BrokenError(f"{path}: {type(error).__name__}") from error
        self._idle.append((answer.at, streams))
        return answer

    def _take(self) -> Streams | None:
        while self._idle:
            since, (reader, writer) = self._idle.pop()
            if time.monotonic() - since < IDLE_SECONDS and not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    def close(self) -> None:
        for _, (_, writer) in self._idle:
            writer.close()
        self._idle.clear()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if not line.lower().startswith("set-cookie"))
    set_cookies = [line.partition(": ")[2] for line in lines if line.lower().startswith("set-cookie")]
    body = await reader.readexactly(int(headers["content-length"]))
    at = time.monotonic()
    session = json.loads(body) if headers.get("content-type") == "application/json" else {}
    return Answer(int(first.split()[1]), session, _session_cookie(set_cookies), at)


def _session_cookie(lines: list[str]) -> str | None:
    cookie = None
    for line in lines:
        name, _, rest = line.partition("=")
        if name == COOKIE:
            cookie = rest.partition(";")[0].strip('"')
    return cookie
