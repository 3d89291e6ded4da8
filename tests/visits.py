"""One request at the level of the store: open what the cookie leads to, let a handler change it, commit."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from chirp.middleware.sessions import RedisSessionStore, SessionConfig
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore

CONFIG = SessionConfig(secret_key="for tests alone, and long enough")


def presented(store: BuiltInStore, cookie: str | None) -> str | None:
    """Return what the fronts find in a request whose browser sends this as the session's cookie."""
    if cookie is None:
        return None
    return store.cookie_reader.read([(b"cookie", f"{store.config.cookie_name}={cookie}".encode("latin-1"))])


def put_in(**values: Any) -> Callable[[Session], Any]:
    """Return a handler that stores values."""
    return lambda session: session.update(values)


class MakeStore(Protocol):
    """Make a store on the server of the run, or on the one named; it is closed when the test is over."""

    def __call__(self, url: str | None = None, config: SessionConfig = CONFIG, **options: Any) -> RedisSessionStore: ...


class Visit(NamedTuple):
    """What a request left behind: its session after the commit, and the cookie it set."""

    session: Session
    cookie: SetCookie | None


def handle(session: Session, handler: Callable[[Session], object]) -> None:
    """Call a handler as the fronts do: inside it `get_session()` and its like work."""
    token = current_session.set(session)
    try:
        handler(session)
    finally:
        current_session.reset(token)


async def visit(
    store: RedisSessionStore, cookie: str | None = None, handler: Callable[[Session], object] | None = None
) -> Visit:
    """Make one request."""
    session = await store.open(presented(store, cookie), https=True)
    if handler is not None:
        handle(session, handler)
    return await commit(store, session)


async def commit(store: RedisSessionStore, session: Session) -> Visit:
    """End the request of a session that was opened before."""
    return Visit(session, await store.commit(session, store.clock()))


async def put(store: RedisSessionStore, cookie: str | None = None, /, **data: Any) -> str:
    """Store values, and return the id in the browser's cookie."""
    session = (await visit(store, cookie, lambda session: session.update(data))).session
    assert session.id is not None
    return session.id


async def read(store: RedisSessionStore, cookie: str) -> dict[str, Any]:
    """Return what a request with this cookie finds."""
    return dict(await store.open(presented(store, cookie), https=True))


async def live(store: RedisSessionStore) -> None:
    """Take a session through all kinds of steps."""
    cookie = await put(store, a="ä")
    sessions = [await store.open(cookie, https=True) for _ in range(3)]
    for number, session in enumerate(sessions):
        session[f"key{number}"] = number
    await asyncio.gather(*(commit(store, session) for session in sessions))
    assert await read(store, cookie) == {"a": "ä", "key0": 0, "key1": 1, "key2": 2}
    new = await put(store, cookie, user_id=7)  # a change of user rotates
    assert new != cookie
    assert await read(store, cookie) == {}
    assert (await read(store, new))["user_id"] == 7
    assert (await visit(store, new, Session.clear)).cookie is not None
    assert await read(store, new) == {}
