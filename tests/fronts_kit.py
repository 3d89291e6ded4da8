"""Requests to one store through each way to it: the two fronts, and `load` and `save` themselves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from session_kit import FakeRequest, app_under, call_asgi, http_scope
from starlette.requests import Request
from starlette.responses import Response
from visits import handle

from chirp.middleware.sessions import RedisSessionStore

WAYS = ("asgi", "app", "store")
Action = Callable[[], object]  # what a handler does; `get_session()` works inside it


class MakeRequest(Protocol):
    """Make one request in the running event loop, and return the lines of `Set-Cookie` in its response."""

    async def __call__(self, cookie: str | None, action: Action) -> list[str]: ...


def requests_through(way: str, store: RedisSessionStore) -> MakeRequest:
    """Return what makes requests: to an app under the front "asgi" or "app", or to the "store" itself."""
    return _to_the_store(store) if way == "store" else _to_an_app(way, store)


def _to_the_store(store: RedisSessionStore) -> MakeRequest:
    async def request(cookie: str | None, action: Action) -> list[str]:
        cookies = {} if cookie is None else {store.config.cookie_name: cookie}
        session = await store.load(FakeRequest(cookies))
        handle(session, lambda _: action())
        response: Response = await store.save(Response(), session)
        return response.headers.getlist("set-cookie")

    return request


def _to_an_app(front: str, store: RedisSessionStore) -> MakeRequest:
    def handler(request: Request) -> Response:
        request.scope["action"]()
        return Response()

    app = app_under(front, handler, replace(store.config, store=store))

    async def request(cookie: str | None, action: Action) -> list[str]:
        headers = [] if cookie is None else [(b"cookie", f"{store.config.cookie_name}={cookie}".encode())]
        start: dict[str, Any]
        start, *_ = await call_asgi(app, http_scope(headers=headers, action=action))
        assert start["status"] == 200
        return [value.decode() for name, value in start["headers"] if name == b"set-cookie"]

    return request
