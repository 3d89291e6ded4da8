"""A browser that talks to a store without HTTP: it keeps one cookie, and its requests can be held in mid-flight."""

import re
from collections.abc import Callable
from typing import Any

from chirp.middleware.sessions import Session
from chirp.middleware.sessions.session import current_session
from chirp.middleware.sessions.store import BuiltInStore

_SET_COOKIE = re.compile(r'(?P<name>[^=]+)=(?P<value>"?[^;"]*"?); (?P<attributes>.*)')


class ManualClock:
    """Unix seconds that move only when told to."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class InFlight:
    """A request that has loaded its session and not yet stored it."""

    def __init__(self, browser: "Browser", session: Session) -> None:
        self.browser = browser
        self.session = session
        self.header: str | None = None

    def run(self, handler: Callable[[Session], Any]) -> Any:
        """Run a handler in the request's context, so that `regenerate_session()` and the others work."""
        token = current_session.set(self.session)
        try:
            return handler(self.session)
        finally:
            current_session.reset(token)

    async def finish(self) -> str | None:
        """Store, hand the cookie to the browser, and return the `Set-Cookie` header if there was one."""
        cookie = await self.browser.store.commit(self.session, self.browser.store.clock())
        self.header = cookie.header if cookie else None
        self.browser.receive(self.header)
        return self.header


def presented(store: BuiltInStore, cookie: str | None) -> str | None:
    """Return what the fronts find in a request whose browser sends this as the session's cookie."""
    if cookie is None:
        return None
    return store.cookie_reader.read([(b"cookie", f"{store.config.cookie_name}={cookie}".encode("latin-1"))])


class Browser:
    """Keeps the session cookie as a browser does."""

    def __init__(self, store: BuiltInStore, cookie: str | None = None) -> None:
        self.store = store
        self.cookie = cookie

    async def begin(self) -> InFlight:
        """Start a request with the cookie as it is now."""
        return InFlight(self, await self.store.open(presented(self.store, self.cookie), https=True))

    async def visit(self, handler: Callable[[Session], Any] = lambda session: None) -> str | None:
        """Make one request; return its `Set-Cookie` header, or None."""
        request = await self.begin()
        request.run(handler)
        return await request.finish()

    async def read(self) -> dict[str, Any]:
        """Return what a read-only request sees."""
        return dict(await self.store.open(presented(self.store, self.cookie), https=True))

    def receive(self, header: str | None) -> None:
        if header is None:
            return
        match = _SET_COOKIE.fullmatch(header)
        assert match is not None, header
        self.cookie = None if "Max-Age=0" in match["attributes"] else match["value"]


def put(**values: Any) -> Callable[[Session], Any]:
    """A handler that stores values."""
    return lambda session: session.update(values)
