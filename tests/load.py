"""Browsers that go on visiting a store while something is done to its servers."""

import asyncio
import itertools
import time

from visits import put, read

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore

BROWSERS = 8


class Load:
    """Browsers that read and change sessions of their own, one after the other, until told to stop.

    What matters is what each has stored last: a failover by Sentinel may undo what was acknowledged before that, which
    the visitors in `traffic` would take for lost.

    Attributes:
        cookies: one for each.
        counts: what each has been told was stored, under its own name.
        refused: the seconds that each refused request took.
        served: how many were not refused.
    """

    def __init__(self, store: RedisSessionStore) -> None:
        self._store = store
        self._over = asyncio.Event()
        self.cookies: list[str] = []
        self.counts = [0] * BROWSERS
        self.refused: list[float] = []
        self.served = 0

    async def begin(self) -> None:
        self.cookies = [await put(self._store, name=number, count=0) for number in range(BROWSERS)]

    async def run(self) -> None:
        await asyncio.gather(*(self._browse(number) for number in range(BROWSERS)))

    async def resumed(self) -> None:
        """Wait until every browser can have had an answer again."""
        served = self.served
        async with asyncio.timeout(20):
            while self.served < served + 10 * BROWSERS:
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._over.set()

    async def _browse(self, number: int) -> None:
        for count in itertools.count(1):
            if self._over.is_set():
                return
            began = time.monotonic()
            try:
                found = await read(self._store, self.cookies[number])
                assert found.get("name", number) == number, "a session of somebody else"
                await put(self._store, self.cookies[number], count=count)
                self.counts[number] = count
                self.served += 1
            except StoreUnavailable:
                self.refused.append(time.monotonic() - began)
            await asyncio.sleep(0.005)
