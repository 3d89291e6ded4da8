"""`App`: the thin host of chirp-style middleware. Routing, requests and responses are Starlette's.

A request passes the middlewares, first added first, to the handler. Each of them gives a response to the one
outside it, and only what the outermost returned is sent.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar, cast

from starlette.datastructures import State, URLPath
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from chirp.errors import ConfigurationError
from chirp.handler import HandlerRoute
from chirp.middleware.calling import name_of
from chirp.middleware.protocol import AnyResponse, Middleware, Next

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
HookT = TypeVar("HookT", bound=Callable[[], Any])


class App:
    """An ASGI app of routes and chirp-style middlewares.

    Handlers are sync (run in a worker thread) or async. What one returns becomes the response: `str` is HTML,
    `dict` and `list` are JSON, `bytes` are `application/octet-stream`, and any Starlette response is sent as it is.
    Anything else, None included, is a TypeError: a forgotten `return` must not look like success.

    404, 405 and every `HTTPException` become responses where they arise, so that the middlewares outside see
    them as such. Any other exception passes through all middlewares and ends in a 500.

    Attributes:
        state: a place for the app's own objects, as in Starlette; `request.app.state` in a handler.
    """

    def __init__(self, *, debug: bool = False, lifespan: Lifespan["App"] | None = None) -> None:
        """Make an app without routes.

        Args:
            debug: show the traceback of an unhandled exception to the client.
            lifespan: takes the app and returns an async context manager that is open while the app serves:
                a function decorated with `contextlib.asynccontextmanager`. Startup hooks run inside it.

        Raises:
            ConfigurationError: `lifespan` lacks that decorator.
        """
        if inspect.isasyncgenfunction(lifespan):
            raise ConfigurationError(f"lifespan={name_of(lifespan)}: decorate it with contextlib.asynccontextmanager")
        self.state: State = State()
        self._user_lifespan = lifespan
        self._startup: list[Callable[[], Any]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self._middlewares: list[Middleware] = []
        self._chain: Next | None = None
        self._routes: list[HandlerRoute] = []
        self._router = Router(lifespan=self._lifespan)
        self._http = ServerErrorMiddleware(self._respond, debug=debug)

    def route(
        self, path: str, methods: Collection[str] = ("GET",), *, name: str | None = None
    ) -> Callable[[HandlerT], HandlerT]:
        """Register the decorated handler.

        A parameter of the handler named as a path parameter gets its converted value. One named `request` or
        annotated `Request` gets the request, and so does a single other positional parameter without annotation.

        Args:
            path: in Starlette's notation, such as `/item/{id:int}`. It matches exactly; `/item/1/` is another path.
            methods: HTTP methods; HEAD comes with GET.
            name: for `request.url_for`; the handler's own name if None.

        Raises:
            ConfigurationError: the path, the methods or a parameter of the handler cannot work.
        """
        if isinstance(methods, str) or not methods:
            raise ConfigurationError(f"methods={methods!r}: must be a tuple of names, such as ('GET', 'POST')")
        if not str(path).startswith("/"):
            raise ConfigurationError(f"path={path!r}: must be text that starts with '/', as in @app.route('/')")

        def register(handler: HandlerT) -> HandlerT:
            route = HandlerRoute(path, handler, methods, name)
            self._routes.append(route)
            self._router.routes.append(route)  # where url_path_for looks
            return handler

        return register

    def add_middleware(self, middleware: Middleware) -> None:
        """Add a middleware inside those that were added before; the first added is outermost.

        Raises:
            ConfigurationError: it is a class, or not callable; or the app has started serving.
        """
        if self._chain is not None:
            raise ConfigurationError(
                f"middleware {name_of(middleware)} was added after the app had started serving; "
                "add every middleware before that, at the latest in a startup hook"
            )
        given: Any = middleware  # not every caller has a type checker
        if inspect.isclass(given) or not callable(given):
            raise ConfigurationError(
                f"middleware {name_of(middleware)}: must be an async function (request, next), or an instance that "
                "can be called like one"
            )
        self._middlewares.append(middleware)

    def on_startup(self, hook: HookT) -> HookT:
        """Run a sync or async function without parameters before the first request; usable as a decorator."""
        self._startup.append(hook)
        return hook

    def on_shutdown(self, hook: HookT) -> HookT:
        """Run a sync or async function without parameters at shutdown; usable as a decorator.

        The hook added last runs first, and all run even if one raises. None runs when the startup failed.
        """
        self._shutdown.append(hook)
        return hook

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of a named route; `request.url_for` asks here.

        Raises:
            starlette.routing.NoMatchFound: there is no such route, or it takes other path parameters.
        """
        return self._router.url_path_for(name, **path_params)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection. A WebSocket is refused: the server answers 403."""
        scope["app"] = self
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._router.lifespan(scope, receive, send)
            case "websocket":
                await WebSocketClose()(scope, receive, send)
            case other:
                raise RuntimeError(f"ASGI scope of type {other!r}: App serves http, lifespan and websocket")

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._chain is None:
            self._chain = self._link()
        response = await self._chain(Request(scope, receive, send))
        try:
            await cast("ASGIApp", response)(scope, receive, send)
        finally:
            # A client that left early leaves the body half read: what it holds must not wait for the collector.
            close = getattr(getattr(response, "body_iterator", None), "aclose", None)
            if close is not None:
                await close()

    def _link(self) -> Next:
        chain: Next = self._answer
        for middleware in reversed(self._middlewares):
            chain = _before(middleware, chain)
        return chain

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._find(request.scope).answer(request)
        except HTTPException as error:
            return _plain_response(error)

    def _find(self, scope: Scope) -> HandlerRoute:
        allowed: set[str] = set()
        for route in self._routes:
            try:
                match, found = route.matches(scope)
            except ValueError:
                continue  # the path's text has no such value: an int of 5000 digits, say
            if match is Match.FULL:
                scope.update(found, route=route)
                return route
            if match is Match.PARTIAL and route.methods:
                allowed |= route.methods
        if allowed:
            # RFC 9110, section 15.5.6: all methods of the resource, whichever route has them.
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        raise HTTPException(404)

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncGenerator[Any, None]:
        async with AsyncExitStack() as ending:
            # Entered first and so left last: whatever ends before it may still use a store.
            ending.push_async_callback(self._close_middlewares)
            state = await ending.enter_async_context(self._user_lifespan(self)) if self._user_lifespan else None
            for hook in self._startup:
                await _run(hook)
            for hook in self._shutdown:
                ending.push_async_callback(_run, hook)
            self._chain = self._link()
            yield state

    async def _close_middlewares(self) -> None:
        async with AsyncExitStack() as ending:
            for middleware in self._middlewares:
                close = getattr(middleware, "aclose", None)
                if close is not None:
                    ending.push_async_callback(close)


def _before(middleware: Middleware, following: Next) -> Next:
    async def answer(request: Request) -> AnyResponse:
        try:
            response = await middleware(request, following)
        except HTTPException as error:
            return _plain_response(error)
        if not callable(response):
            raise TypeError(
                f"middleware {name_of(middleware)} returned {type(response).__name__}; "
                "return what next(request) gave, or another response that is an ASGI app"
            )
        return response

    return answer


def _plain_response(error: HTTPException) -> Response:
    if error.status_code in (204, 304):
        return Response(status_code=error.status_code, headers=error.headers)
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def _run(hook: Callable[[], Any]) -> None:
    result = hook()
    if inspect.isawaitable(result):
        await result
