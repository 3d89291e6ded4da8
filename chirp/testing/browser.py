"""A browser that talks to a store without HTTP: it keeps one cookie, and its requests can be held in mid-flight."""

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from chirp.middleware.sessions.adapter import DictStoreAdapter
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore, SessionStore

Handler = Callable[[Session], Any]

_SET_COOKIE = re.compile(r'(?P<name>[^=]+)=(?P<value>"?[^;"]*"?); (?P<attributes>.*)')


class InFlight:
    """A request that has loaded its session and not yet stored it.

    Attributes:
        session: what the store has loaded.
    """

    def __init__(self, browser: "Browser", session: Session) -> None:
        self.browser = browser
        self.session = session

    def run(self, handler: Handler) -> Any:
        """Run a handler in the request's context, so that `regenerate_session()` and the others work."""
        token = current_session.set(self.session)
        try:
            return handler(self.session)
        finally:
            current_session.reset(token)

    async def finish(self) -> str | None:
        """Store, hand the cookie to the browser, and return the `Set-Cookie` header if there was one.

        Raises:
            StoreUnavailable, SessionTooLarge, SessionNotSerializable: as the store does.
        """
        return await self.browser.store_session(self.session)


class Browser:
    """Keeps the session cookie as a browser does, and sends it over https.

    Args:
        store: any store.
        cookie: the cookie's value to begin with.
        config: of a store that has no `config` of its own.
    """

    def __init__(self, store: Any, cookie: str | None = None, config: SessionConfig | None = None) -> None:
        self.store = store
        self.cookie = cookie
        self.config: SessionConfig = config or store.config

    def __repr__(self) -> str:
        return f"<Browser at {self.store!r} {'with a' if self.cookie else 'without'} cookie>"

    def twin(self) -> "Browser":
        """Return another one with the same cookie, as a second tab or a thief has it."""
        return Browser(self.store, self.cookie, self.config)

    async def begin(self) -> InFlight:
        """Start a request with the cookie as it is now."""
        return InFlight(self, await self._load())

    async def visit(self, handler: Handler | None = None) -> str | None:
        """Make one request; return its `Set-Cookie` header, or None."""
        request = await self.begin()
        if handler is not None:
            request.run(handler)
        return await request.finish()

    async def read(self) -> dict[str, Any]:
        """Return what a read-only request sees."""
        return dict(await self._load())

    def receive(self, header: str | None) -> None:
        """Take over what a response's `Set-Cookie` header says."""
        if header is None:
            return
        match = _SET_COOKIE.fullmatch(header)
        if match is None:
            raise ValueError(f"the store has set a cookie that is none: {header[:80]!r}")
        self.cookie = None if "max-age=0" in match["attributes"].lower() else match["value"]

    async def _load(self) -> Session:
        cookie = f"{self.config.cookie_name}={self.cookie}".encode("latin-1")
        headers = [] if self.cookie is None else [(b"cookie", cookie)]
        request = Request({"type": "http", "scheme": "https", "method": "GET", "path": "/", "headers": headers})
        if isinstance(self.store, BuiltInStore):
            return await self.store.load(request)
        return await self._adapter().open(request)

    async def store_session(self, session: Session) -> str | None:
        """Store what a request has loaded, and take its cookie; return the `Set-Cookie` header if there is one."""
        store: SessionStore | DictStoreAdapter = self.store if isinstance(self.store, BuiltInStore) else self._adapter()
        response: Any = await store.save(Response(), session)
        header: str | None = response.headers.get("set-cookie")
        self.receive(header)
        return header

    def _adapter(self) -> DictStoreAdapter:
        return DictStoreAdapter(self.store, self.config)
