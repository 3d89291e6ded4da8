"""Sessions of a test client: put one in, read one back. Clients are told apart by what they have, none is imported."""

import asyncio
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import HTTPS_SCHEMES, BuiltInStore


class _Answer:
    """All that a cookie jar needs of a response."""

    def __init__(self, set_cookie: str) -> None:
        self._headers = Message()
        self._headers["Set-Cookie"] = set_cookie

    def info(self) -> Message:
        return self._headers


async def put_session(client: Any, store: BuiltInStore, data: dict[str, Any]) -> None:
    """Give a test client a new session, as if its visitor had been at the app before.

    The session is stored by the store itself, so all that holds for sessions holds for it. The cookie goes through the
    client's own cookie jar as a `Set-Cookie` header does, in place of the one that it had; that session stays stored.

    Args:
        client: a `TestClient` of Starlette, FastAPI or Litestar, or a `Client` or `AsyncClient` of httpx or httpx2. It
            has `cookies` with a jar, and a `base_url`.
        store: the app's, or another one made with the same settings.
        data: what the session holds, not empty: an empty session is not stored.

    Raises:
        ConfigurationError: the client would not send the cookie to its `base_url`.
        ValueError: `data` is empty.
        StoreUnavailable, SessionTooLarge, SessionNotSerializable: as the store does.
    """
    if not data:
        raise ValueError("data={}: an empty session is not stored; use a client without a cookie")
    url = _url_of(client, store.config)
    session = await store.open(None, _is_https(url))
    session.update(data)
    cookie = await store.commit(session, store.clock())
    if cookie is None:
        raise StoreUnavailable("the store is out, so it keeps no session; put the client into one before the outage")
    jar = _jar_of(client)
    jar.extract_cookies(_Answer(cookie.header), Request(url))  # type: ignore[arg-type]  # noqa: S310 - never opened
    if await _cookie_of(client, store) != cookie.header.partition(";")[0].partition("=")[2]:
        raise _never_sent(url, store.config)


async def read_session(client: Any, store: BuiltInStore) -> Session:
    """Return the session that a test client's next request would find; an empty one if there is none.

    Nothing is written, and its time does not slide. What is changed in the returned session stays there.

    Args:
        client: as for `put_session`.
        store: the same.

    Raises:
        StoreUnavailable: the store is out and `on_store_error` is "unavailable".
    """
    return await store.open(await _cookie_of(client, store), _is_https(_url_of(client, store.config)))


def put_session_sync(client: Any, store: BuiltInStore, data: dict[str, Any]) -> None:
    """Do as `put_session` does, in a test that is no coroutine; the event loop of a `TestClient` may run meanwhile.

    It runs in an event loop of its own, so a `RedisSessionStore` whose client or pool is injected cannot be used here:
    make a second store with the same URL.
    """
    asyncio.run(put_session(client, store, data))


def read_session_sync(client: Any, store: BuiltInStore) -> Session:
    """Do as `read_session` does, in a test that is no coroutine; see `put_session_sync`."""
    return asyncio.run(read_session(client, store))


async def _cookie_of(client: Any, store: BuiltInStore) -> str | None:
    """Return what the client would send, well-formed."""
    request = Request(_url_of(client, store.config))  # noqa: S310 - never opened
    _jar_of(client).add_cookie_header(request)
    header = request.get_header("Cookie")
    return None if header is None else store.cookie_reader.read([(b"cookie", header.encode("latin-1"))])


def _jar_of(client: Any) -> CookieJar:
    jar: CookieJar = client.cookies.jar
    return jar


def _url_of(client: Any, config: SessionConfig) -> str:
    """Return an address at which the app has its sessions."""
    parts = urlsplit(str(client.base_url))
    return parts._replace(path=config.path, query="", fragment="").geturl()


def _is_https(url: str) -> bool:
    return urlsplit(url).scheme in HTTPS_SCHEMES


def _never_sent(url: str, config: SessionConfig) -> ConfigurationError:
    return ConfigurationError(
        f"base_url={url!r}: the client would not send the cookie there, with secure={config.secure!r} and "
        f"domain={config.domain!r}; make the client with a base_url of that domain, with https where secure is True"
    )
