"""Kinds of requests, an app that answers them, and what its browser gets while the store fails and afterwards."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import httpx2
from session_kit import COOKIE, app_under, config_with, value_in
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chirp.middleware.sessions import RedisSessionStore, get_session, regenerate_session, rotate_session

BASE_URL = "https://testserver"
HELD = {"a": 1}
BYSTANDER = "bystander"


@dataclass(frozen=True)
class Kind:
    """A kind of request.

    Attributes:
        act: what its handler does.
        asked: what the session holds once that is done; None where there is no session any more.
        held: what it holds before; None where the browser comes without a cookie.
        sets_cookie: whether a response that acknowledges it does.
        new_or_no_id: it ends the session or asks for a new id, which is never pretended.
        settings: of the config.
    """

    act: Callable[[], object]
    asked: dict[str, Any] | None
    held: dict[str, Any] | None = field(default_factory=lambda: dict(HELD))
    sets_cookie: bool = True
    new_or_no_id: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


KINDS = {
    "read": Kind(lambda: get_session().get("a"), HELD, sets_cookie=False),
    "touch": Kind(lambda: get_session().get("a"), HELD, settings={"touch_interval_seconds": 0}),
    "change": Kind(lambda: get_session().update(b=2), {**HELD, "b": 2}, sets_cookie=False),
    "create": Kind(lambda: get_session().update(b=2), {"b": 2}, held=None),
    "empty": Kind(lambda: get_session().pop("a", None), None),
    "logout": Kind(lambda: get_session().clear(), None, new_or_no_id=True),
    "login": Kind(lambda: regenerate_session().update(user_id=7), {"user_id": 7}, new_or_no_id=True),
    "rotate": Kind(rotate_session, HELD, new_or_no_id=True),
}
WRITES = frozenset(KINDS) - {"read"}


class Way(NamedTuple):
    """How a request reaches the store, and that its server: by a URL, a pool or a client of the app's."""

    front: str
    mode: str
    method: str
    source: str


# Every front, mode and method meets every other one; all eight would show no more.
WAYS = (
    Way("app", "unavailable", "POST", "url"),
    Way("asgi", "unavailable", "GET", "pool"),
    Way("app", "anonymous", "GET", "client"),
    Way("asgi", "anonymous", "POST", "url"),
)


@dataclass
class Seen:
    """What came of one request.

    Attributes:
        status, headers: of the response.
        handled: whether the handler ran.
        seconds: from when the failure was there until the response.
        live: the data of the documents that the store holds afterwards for this browser, whoever knows their ids.
        moved: whether the document is no longer under the id that the request came with.
        shown: what the browser then sees, without a restart of anything.
        grown: the same after one more change.
        bystander: what another browser of the app sees afterwards.
        resumed: the status of each request made afterwards.
    """

    status: int = 0
    headers: httpx2.Headers = field(default_factory=httpx2.Headers)
    handled: bool = False
    seconds: float = 0.0
    live: list[dict[str, Any]] = field(default_factory=list)
    moved: bool = False
    shown: Any = None
    grown: Any = None
    bystander: Any = None
    resumed: list[int] = field(default_factory=list)


class Site:
    """An app with a store of its own, one browser that will make one request, and another one that looks on.

    Args:
        kind: of the request, a name in `KINDS`.
        way: of the request.
        key_prefix: of the store.
        timeout_seconds: of the store.
        source: how the store reaches its server.

    Attributes:
        gated: the path whose handler waits at the gate.
        entered: the handler is there.
        gate: it may go on.
    """

    def __init__(self, kind: str, way: Way, key_prefix: str, timeout_seconds: float, **source: Any) -> None:
        self.name, self.kind, self.way = kind, KINDS[kind], way
        config = config_with(on_store_error=way.mode, **self.kind.settings)
        self.store = RedisSessionStore(config, key_prefix=key_prefix, timeout_seconds=timeout_seconds, **source)
        self.app = app_under(way.front, self._answer, replace(config, store=self.store))
        self.browser, self.bystander = self._browser(), self._browser()
        self.seen = Seen()
        self.gated = "/it"
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._actions: dict[str, Callable[[], object]] = {
            "/it": self.kind.act,
            "/hold": lambda: get_session().update(self.kind.held or {}),
            "/stand-by": lambda: get_session().update({BYSTANDER: key_prefix}),
            "/show": lambda: get_session().get("a"),
            "/grow": lambda: get_session().update(c=3),
            "/leave": lambda: get_session().clear(),
            "/enter": lambda: regenerate_session().update(user_id=0),
        }

    def _browser(self) -> httpx2.AsyncClient:
        # What escapes the app is raised here, so that no unhandled exception passes for an answer.
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url=BASE_URL)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == self.gated:
            self.seen.handled = True
            self.entered.set()
            await self.gate.wait()
        self._actions[path]()
        return JSONResponse(dict(get_session()))

    @property
    def cookie(self) -> str | None:
        """The id in the cookie of the browser."""
        return self.browser.cookies.get(COOKIE)

    async def warm(self) -> None:
        """Have the server cache every script, as it soon has in an app."""
        async with self._browser() as browser:
            for path in ("/stand-by", "/grow", "/enter", "/leave"):
                (await browser.post(path)).raise_for_status()

    async def prepare(self) -> None:
        """Store the sessions of both browsers."""
        (await self.bystander.post("/stand-by")).raise_for_status()
        if self.kind.held is not None:
            (await self.browser.post("/hold")).raise_for_status()

    async def request(self) -> None:
        """Make the request; time counts from when its handler was let go, if it was held."""
        seen, began = self.seen, time.monotonic()
        task = asyncio.create_task(self.browser.request(self.way.method, "/it"))
        if not self.gate.is_set():
            await self.gate.wait()
            began = time.monotonic()
        response = await task
        seen.seconds = time.monotonic() - began
        seen.status, seen.headers = response.status_code, response.headers

    async def look_afterwards(self) -> None:
        """Go on as a browser does, on the same app and store."""
        seen = self.seen
        answers = [
            await self.browser.get("/show"),  # may have to find out that its connection is lost
            await self.browser.get("/show"),
            await self.browser.post("/grow"),
            await self.browser.get("/show"),
            await self.bystander.get("/show"),
        ]
        seen.resumed = [answer.status_code for answer in answers]
        _, seen.shown, _, seen.grown, seen.bystander = [
            answer.json() if answer.status_code == 200 else None for answer in answers
        ]

    async def aclose(self) -> None:
        await self.browser.aclose()
        await self.bystander.aclose()
        await self.store.aclose()


def set_cookie(headers: httpx2.Headers) -> str | None:
    """Return the value of the session's cookie that a response sets, if it does."""
    lines = headers.get_list("set-cookie")
    return value_in(lines[0]) if lines else None
