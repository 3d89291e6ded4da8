"""A small site with users to sign in, for the tests of auth."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from starlette.testclient import TestClient

from chirp.app import App
from chirp.middleware.auth import AuthConfig, AuthMiddleware, get_user, login
from chirp.middleware.sessions import MemorySessionStore, SessionConfig, SessionMiddleware, get_session
from chirp.middleware.sessions.store import BuiltInStore
from chirp.testing import ManualClock

CONFIG = SessionConfig(secret_key="for tests alone, and long enough", exclude_paths=("/static",))
COOKIE = CONFIG.cookie_name


@dataclass
class User:
    id: Any
    version: Any = 0


class Site:
    """An app with two users, sessions in memory or another store, and a browser that visits it."""

    def __init__(
        self, config: SessionConfig = CONFIG, make_store: Callable[..., BuiltInStore] = MemorySessionStore, **auth: Any
    ) -> None:
        self.users = {1: User(1), 2: User(2)}
        self.clock = ManualClock()
        self.app = App()
        self.app.add_middleware(SessionMiddleware(replace(config, store=make_store(config, clock=self.clock))))
        settings: dict[str, Any] = {"load_user": self.users.get, "clock": self.clock, **auth}
        self.app.add_middleware(AuthMiddleware(AuthConfig(**settings)))
        self.client = TestClient(self.app)
        self.on("/who", lambda: [get_user().id])
        self.on("/data", lambda: dict(get_session()))
        self.on("/put/{key}", self._put)
        self.on("/login/{number:int}", self._login)

    def on(self, path: str, handler: Callable[..., Any]) -> None:
        self.app.route(path)(handler)

    def on_do(self, path: str, action: Callable[[], object]) -> None:
        """Register a handler that does something and says nothing."""

        def handler() -> str:
            action()
            return ""

        self.on(path, handler)

    def get(self, path: str) -> Any:
        """Visit a path and return what its JSON says, or its text."""
        response = self.client.get(path)
        return response.json() if response.headers["content-type"] == "application/json" else response.text

    def visit_with(self, cookie: str, path: str) -> Any:
        """Visit a path from another browser, with a cookie it got hold of."""
        self.client.cookies.clear()
        self.client.cookies.set(COOKIE, cookie)
        return self.get(path)

    @staticmethod
    def _put(key: str) -> str:
        get_session()[key] = "kept"
        return ""

    def _login(self, number: int) -> str:
        login(self.users[number])
        return ""
