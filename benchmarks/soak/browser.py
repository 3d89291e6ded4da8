"""A virtual browser: it opens pages, each of several parallel requests, and judges every answer."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.soak.connection import Answer, BrokenError, Connections
from benchmarks.soak.expected import Asked, Expected

KEYS = ("cart", "theme", "page", "seen")
# How often a browser that is logged in does what, out of 100; a page reads and changes.
PAGES = {"page": 56, "late page": 12, "dead cookie": 12, "rotate": 4, "renew": 4, "logout": 6, "login": 6}
# A browser that stays ends no session, so that the ids from before its renewals live to see the end of the grace.
STAYING = {"page": 68, "late page": 16, "dead cookie": 12, "renew": 4}
AT_ONCE = 4  # requests of a page


@dataclass(frozen=True, slots=True)
class Request:
    """What became of one request.

    Attributes:
        kind: its path.
        began: on the clock `time.monotonic`.
        ended: on the same.
        status: of HTTP; None: the connection broke.
    """

    kind: str
    began: float
    ended: float
    status: int | None


class Browser:
    """One of the browsers.

    Args:
        expected: what it may see.
        ports: of the workers, which it asks in turn.
        requests: where each of its requests is noted.
        chance: decides what it does.
        stays: whether it never logs out, and logs in only where it must.
    """

    def __init__(
        self,
        expected: Expected,
        ports: Sequence[int],
        requests: list[Request],
        chance: random.Random,
        *,
        stays: bool = False,
    ) -> None:
        self.overtaken = 0
        self._pages = STAYING if stays else PAGES
        self._expected = expected
        self._workers = [Connections(port) for port in ports]
        self._turns = itertools.cycle(self._workers)
        self._requests = requests
        self._chance = chance

    async def browse(self, is_over: Callable[[], bool], think_seconds: tuple[float, float]) -> None:
        """Open page after page."""
        try:
            while not is_over():
                await self._open()
                await asyncio.sleep(self._chance.uniform(*think_seconds))
        finally:
            for worker in self._workers:
                worker.close()

    async def _open(self) -> None:
        expected = self._expected
        if expected.marker is None or expected.doubtful:
            await self._login()
            return
        (what,) = self._chance.choices(list(self._pages), list(self._pages.values()))
        beside = self._chance.random() < 0.5  # whether other requests are in flight meanwhile
        match what:
            case "page":
                await self._page()
            case "late page":
                await asyncio.gather(self._page(late=True), *([self._renew(late=True)] if beside else []))
            case "dead cookie":
                await self._present_dead()
            case "renew":
                await asyncio.gather(self._renew(), *([self._page(), self._renew()] if beside else []))
            case "rotate":
                await self._with_others(self._rotate(), beside=beside)
            case "logout":
                await self._with_others(self._logout(), beside=beside)
            case _:
                await self._with_others(self._login(), beside=beside)

    async def _page(self, *, late: bool = False) -> None:
        """Read and change at once; a late page was asked for before the browser had its present cookie."""
        keys = self._chance.sample(KEYS, self._chance.randint(1, AT_ONCE - 1))
        reads = [self._read(late=late) for _ in range(AT_ONCE - len(keys))]
        await asyncio.gather(*reads, *(self._change(key, late=late) for key in keys))

    async def _with_others(self, changing: Coroutine[Any, Any, None], *, beside: bool) -> None:
        """Do what changes whose session it is, with a read and a change beside it or without."""
        others = []
        if beside:
            key, late = self._chance.choice(KEYS), self._chance.random() < 0.5
            others = [self._read(alone=False, late=late), self._change(key, alone=False, late=late)]
            self._chance.shuffle(others)
        await asyncio.gather(*others, changing)

    async def _read(self, *, alone: bool = True, late: bool = False) -> None:
        asked = self._ask(alone=alone, late=late)
        self._judge(asked, await self._request("/read", asked.cookie))

    async def _change(self, key: str, *, alone: bool = True, late: bool = False) -> None:
        asked = self._ask(alone=alone, late=late)
        value = self._expected.next_value(key)
        self._judge(asked, await self._request(f"/change?key={key}&value={value}", asked.cookie))

    async def _rotate(self) -> None:
        asked = self._ask(alone=True)
        answer = await self._request("/rotate", asked.cookie)
        if answer is None or answer.status == 503:
            self._expected.doubtful = True
            return
        self._judge(asked, answer)
        if answer.status == 200 and answer.cookie:
            self._expected.rotated(answer.cookie, answer.at)

    async def _renew(self, *, late: bool = False) -> None:
        """Renew the session; of several who do, the first one does."""
        asked = self._ask(alone=True, late=late)
        answer = await self._request("/renew", asked.cookie)
        is_first = asked.cookie == self._expected.cookie
        if answer is None or answer.status == 503:
            self._expected.doubtful |= is_first
            return
        self._judge(asked, answer)
        if answer.status == 200 and is_first and answer.cookie not in (None, "", asked.cookie):
            self._expected.renewed(answer.cookie, asked.at, answer.at)

    async def _logout(self) -> None:
        asked = self._ask(alone=True)
        answer = await self._request("/logout", asked.cookie)
        if answer is None or answer.status == 503:
            self._expected.doubtful = True
        elif answer.status == 200:
            self._expected.ended(answer.at)
        else:
            self._judge(asked, answer)

    async def _login(self) -> None:
        marker = self._expected.next_marker()
        answer = await self._request(f"/login?marker={marker}", self._expected.cookie)
        if answer is None or answer.status == 503:
            self._expected.doubtful = self._expected.cookie is not None
        elif answer.status == 200:
            self._expected.logged_in(marker, answer.cookie or "", answer.at)
            self._expected.saw(self._ask(alone=True), answer.session, answer.at)

    async def _present_dead(self) -> None:
        """Send a cookie that was acknowledged to be dead, as a thief or an old tab would."""
        dead = self._expected.dead_cookies(time.monotonic())
        if not dead:
            return
        cookie = self._chance.choice((dead[-1], self._chance.choice(dead)))  # the one that died last above all
        answer = await self._request("/read", cookie)
        if answer is not None and answer.status == 200:
            self._expected.saw_dead(cookie, answer.session)

    def _ask(self, *, alone: bool, late: bool = False) -> Asked:
        now = time.monotonic()
        old = self._expected.old_cookies(now) if late else []
        old_cookie = self._chance.choice([None, *old])  # some requests of a late page are not
        return self._expected.ask(now, alone=alone, old_cookie=old_cookie)

    def _judge(self, asked: Asked, answer: Answer | None) -> None:
        if answer is None:
            return
        if answer.status == 200:
            self._expected.saw(asked, answer.session, answer.at)
        elif answer.status == 401:
            self._expected.saw_nothing(asked, answer.at)
        if answer.cookie is not None:
            self._expected.saw_cookie(asked, answer.cookie, answer.at)
        if answer.cookie == asked.cookie and self._expected.cookie != asked.cookie:
            self.overtaken += 1

    async def _request(self, path: str, cookie: str | None) -> Answer | None:
        kind, began = path.partition("?")[0][1:], time.monotonic()
        try:
            answer = await next(self._turns).ask(path, cookie)
        except BrokenError:
            self._requests.append(Request(kind, began, time.monotonic(), None))
            return None
        self._requests.append(Request(kind, began, answer.at, answer.status))
        return answer
