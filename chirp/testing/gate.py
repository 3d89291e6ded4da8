"""A gate between load and save, so that a test can put one request of a running app between the steps of another."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chirp.middleware.sessions.cookie import CookieReader, SetCookie
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore
from chirp.middleware.sessions.typed import write_back

if TYPE_CHECKING:
    from chirp.middleware.sessions.decision import Outcome

Chosen = Callable[[dict[str, Any]], bool]


class Stopped:
    """A request that is to stop at the gate, or has."""

    def __init__(self, chosen: Chosen | None) -> None:
        self._chosen = chosen
        self._reached = asyncio.Event()
        self._let_go = asyncio.Event()

    async def reached(self, seconds: float = 5.0) -> None:
        """Wait until a request stands at the gate.

        Raises:
            TimeoutError: none came within so many seconds.
        """
        async with asyncio.timeout(seconds):
            await self._reached.wait()

    def is_about(self, session: dict[str, Any]) -> bool:
        return self._chosen is None or self._chosen(session)

    async def wait(self) -> None:
        """Stand at the gate; the request does."""
        self._reached.set()
        await self._let_go.wait()

    def go_on(self) -> None:
        """Let it save."""
        self._let_go.set()


class Gate(BuiltInStore):
    """A store that passes everything on to another one, and stops requests that have loaded before they save.

    ```python
    gate = Gate(store)
    app = app_with(replace(config, store=gate))
    stopped = gate.stop_next()
    late = asyncio.create_task(client.post("/cart"))
    await stopped.reached()  # it has loaded its session, and its handler has run
    await client.post("/logout")
    stopped.go_on()
    await late
    ```

    Args:
        store: a built-in one.
    """

    def __init__(self, store: BuiltInStore) -> None:
        super().__init__(store.config, value_pattern="", clock=store.clock)
        self.cookie_reader: CookieReader = store.cookie_reader
        self.sets_cookie: tuple[Outcome, ...] = store.sets_cookie
        self._store = store
        self._expected: list[Stopped] = []

    def stop_next(self, chosen: Chosen | None = None) -> Stopped:
        """Stop the next request that comes to save.

        Args:
            chosen: tells from its session's data whether it is to be stopped; others pass. None: the very next one.
        """
        stopped = Stopped(chosen)
        self._expected.append(stopped)
        return stopped

    async def open(self, cookie: str | None, https: bool | None) -> Session:
        session = await self._store.open(cookie, https)
        session._saver = self
        return session

    async def commit(self, session: Session, now: float) -> SetCookie | None:
        write_back(session)
        data = dict.copy(session)  # as one that nobody has read
        stopped = next((each for each in self._expected if each.is_about(data)), None)
        if stopped is not None:
            self._expected.remove(stopped)
            await stopped.wait()
        return await self._store.commit(session, now)

    async def aclose(self) -> None:
        await self._store.aclose()
