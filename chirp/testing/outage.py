"""An outage that a test switches on and off."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.server_side import ServerSideStore


async def _fail(*_: Any) -> Any:
    raise _outage()


async def _fail_at_first() -> AsyncGenerator[Any, None]:
    raise _outage()
    yield


def _outage() -> StoreUnavailable:
    return StoreUnavailable("the store is out: its OutageSwitch is on")


# All that a store asks its server.
FAILING: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("_read", "_write", "_run", "_read_all", "_time_left"), _fail),
    "_scan": _fail_at_first,
    "_listen": asynccontextmanager(_fail_at_first),
}


class OutageSwitch:
    """Cuts a store of an app off from its server, and puts it back.

    The app goes on using the store itself. While the switch is on, whatever the store would ask its server fails as in
    an outage, and what it makes of that is its own code: the answers, the logs, `on_store_error`, and the sessions of a
    user. A request that is under way meets the outage at its next step; who listens to the server already does not.

    ```python
    switch = OutageSwitch(store)
    with switch:
        assert client.get("/cart").status_code == 503
    assert client.get("/cart").status_code == 200
    ```

    Args:
        store: a server-side store of this package.

    Raises:
        ConfigurationError: the store has no server.
    """

    def __init__(self, store: ServerSideStore) -> None:
        given: Any = store  # not every caller has a type checker
        if not isinstance(given, ServerSideStore):
            raise ConfigurationError(
                f"store is a {type(given).__name__}: only RedisSessionStore and MemorySessionStore can have an outage; "
                "give the one that a wrapper such as Gate stands before"
            )
        self._store = store

    def __repr__(self) -> str:
        return f"<OutageSwitch at {self._store!r}: {'on' if self.is_on else 'off'}>"

    @property
    def is_on(self) -> bool:
        """Whether the store is cut off."""
        return FAILING.keys() <= vars(self._store).keys()

    def on(self) -> None:
        """Begin the outage."""
        for name, failing in FAILING.items():
            setattr(self._store, name, failing)

    def off(self) -> None:
        """End it; what was stored before is there again."""
        for name in FAILING:
            vars(self._store).pop(name, None)

    def __enter__(self) -> "OutageSwitch":
        self.on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.off()
