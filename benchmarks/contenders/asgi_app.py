"""One Starlette app; its contenders differ in the middleware around it alone."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.contenders.asgi_requests import AsgiRequests, seen
from benchmarks.sessions import first_session

Handler = Callable[[Request], Awaitable[Response]]


async def begin(request: Request) -> Response:
    query = request.query_params
    request.session.update(first_session(int(query["task"]), int(query["payload_bytes"])))
    return PlainTextResponse("begun")


async def read(request: Request) -> Response:
    return PlainTextResponse(seen(request.session))


async def change(request: Request) -> Response:
    session = request.session
    session["count"] += 1
    return PlainTextResponse(seen(session))


async def show(request: Request) -> Response:
    return JSONResponse(dict(request.session))


class AsgiApp(AsgiRequests):
    def _make_app(self) -> ASGIApp:
        routes = [Route(f"/{one.__name__}", self.handler(one)) for one in (begin, read, change, show)]
        return Starlette(routes=routes, middleware=self.middleware())

    @abstractmethod
    def middleware(self) -> Sequence[Middleware]:
        """Return what keeps the sessions."""

    def handler(self, handler: Handler) -> Handler:
        """Return the handler as this kind of session wants it."""
        return handler
