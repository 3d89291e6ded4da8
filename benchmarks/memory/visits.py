"""A process that serves requests and says what memory it has. `python -m benchmarks.memory.visits`, told by its stdin.

The app is called in process, so the browsers' part is in here too: a cookie and two numbers for each of them.
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.contender import WrongSessionError, expect

LIFE = 20  # requests from one logout to the next
CHANGE_EVERY = 4


class Job(TypedDict):
    """What stdin says, in one line of JSON; the numbers are those of the settings."""

    redis_url: str
    key_prefix: str
    requests: int
    first: int
    every: int
    tasks: int
    browsers: int


async def logout(request: Request) -> Response:
    request.session.clear()
    return PlainTextResponse("gone")


class Visits(AsgiChirp):
    """Browsers that log in, read, change and log out, each in its own session."""

    def _make_app(self) -> ASGIApp:
        app = super()._make_app()
        assert isinstance(app, Starlette)
        app.router.routes.append(Route("/logout", logout))
        return app

    def expect_browsers(self, count: int) -> None:
        self._cookies = [b""] * count
        self._visits = [0] * count
        self._changes = [0] * count

    async def visit(self, browser: int) -> None:
        """Make the browser's next request.

        Raises:
            WrongSessionError: the answer is not the right one.
        """
        self._visits[browser] += 1
        turn = (self._visits[browser] + browser) % LIFE  # not all at the same time
        if not self._cookies[browser]:
            self._changes[browser] = 0
            query = f"task={browser}&payload_bytes={self.payload_bytes}"
            expect(self, "begin", await self._get("/begin", browser, query.encode("ascii")), b"begun")
        elif turn == 0:
            expect(self, "logout", await self._get("/logout", browser), b"gone")
            self._cookies[browser] = b""
        else:
            changes = turn % CHANGE_EVERY == 0
            self._changes[browser] += changes
            found = await (self.change(browser) if changes else self.read(browser))
            expect(self, "the session", found, self.seen(self.session(browser, self._changes[browser])))


async def serve(visits: Visits, tasks: int, browsers: int, requests: int) -> None:
    """Make so many requests, each task in turn for the browsers that are its own."""

    async def work(task: int) -> None:
        own = range(task, browsers, tasks)
        for number in range(requests // tasks):
            await visits.visit(own[number % len(own)])

    await asyncio.gather(*(work(task) for task in range(tasks)))


async def run(job: Job) -> None:
    visits = Visits(job["redis_url"], job["key_prefix"])
    visits.expect_browsers(job["browsers"])
    try:
        for requests in range(job["every"], job["requests"] + 1, job["every"]):
            await serve(visits, job["tasks"], job["browsers"], job["every"])
            facts: dict[str, Any] = {"requests": requests, "resident_bytes": resident_bytes()}
            if requests in (job["first"], job["requests"]):
                gc.collect()
                facts["objects"] = len(gc.get_objects())
            say(**facts)
    except WrongSessionError as error:
        say(wrong=str(error))
    finally:
        await visits.close()


def resident_bytes() -> int | None:
    """Return the resident memory of this process; None where the system does not show it as a file."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.stdin.readline())))
