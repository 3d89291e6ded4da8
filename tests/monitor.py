"""What a real server is sent, as its own MONITOR reports it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis


class Monitor:
    """The commands that name a key with a prefix; those that scripts make are left out.

    Args:
        client: for marking how far to listen.
        listening: a client's `monitor()`, entered.
        prefix: of the keys; other users of the server are not looked at.
    """

    def __init__(self, client: Redis, listening: Any, prefix: str) -> None:
        self._client = client
        self._listening = listening
        self._prefix = prefix

    async def commands(self) -> list[list[str]]:
        """Return what was sent since the last look, in order, as words; the command is in capitals."""
        mark = secrets.token_hex(8)
        await self._client.echo(mark)
        seen: list[list[str]] = []
        while True:
            report = await self._listening.next_command()
            if mark in report["command"]:
                return seen
            if report["client_type"] != "lua" and self._prefix in report["command"]:
                name, *arguments = report["command"].split(" ")
                seen.append([name.upper(), *arguments])

    async def names(self) -> list[str]:
        """Return the names alone."""
        return [command[0] for command in await self.commands()]


@asynccontextmanager
async def monitored(url: str, prefix: str) -> AsyncIterator[Monitor]:
    async with Redis.from_url(url, socket_timeout=10) as client, client.monitor() as listening:
        yield Monitor(client, listening, prefix)


async def connections_named(client: Redis, name: str) -> set[str]:
    """Return the ids of the connections with this client name, as the server sees them."""
    return {connection["id"] for connection in await client.client_list() if connection["name"] == name}
