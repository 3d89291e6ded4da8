"""Connections that stay open: an ASGI call that a test holds, says something to, and listens to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from session_kit import COOKIE, http_scope

SECONDS = 15.0  # longer than until the next look at what is open


class Held:
    """One connection of a client.

    Attributes:
        sent: what the app has sent.
        task: the call itself.
    """

    def __init__(self, app: Any, scope: dict[str, Any]) -> None:
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._came = asyncio.Event()
        self.task = asyncio.create_task(app(scope, self.incoming.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._came.set()

    async def until(self, kind: str) -> dict[str, Any]:
        """Wait for a message of a kind from the app, and return it."""
        async with asyncio.timeout(SECONDS):
            while True:
                for message in self.sent:
                    if message["type"] == kind:
                        return message
                self._came.clear()
                await self._came.wait()

    async def until_body(self) -> None:
        """Wait until the body has begun."""
        await self.until("http.response.body")

    async def ended(self) -> None:
        """Wait until the app has returned, or raised."""
        async with asyncio.timeout(SECONDS):
            await asyncio.wait({self.task})


@asynccontextmanager
async def held(app: Any, kind: str, cookie: str, path: str = "/") -> AsyncIterator[Held]:
    """Open a connection, "websocket" or "http", with a session cookie."""
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
    scheme = "wss" if kind == "websocket" else "https"
    connection = Held(
        app, http_scope(path=path, raw_path=path.encode(), type=kind, scheme=scheme, headers=headers, subprotocols=[])
    )
    if kind == "websocket":
        connection.incoming.put_nowait({"type": "websocket.connect"})
    try:
        yield connection
    finally:
        connection.task.cancel()
        await asyncio.wait({connection.task})
