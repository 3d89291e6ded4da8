"""What a chirp-style middleware is: an async callable that takes a request and the rest of the chain.

Only types live here. Nothing in this file does I/O or imports another chirp module.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, Self, TypeAlias

from starlette.requests import Request
from starlette.responses import Response


class ImmutableResponse(Protocol):
    """A response that is never changed: adding a header gives a new response."""

    def with_header(self, name: str, value: str, /) -> Self:
        """Return a copy with one more header line; an existing line of that name stays."""
        ...


AnyResponse: TypeAlias = Response | ImmutableResponse
"""Starlette's response, whose headers are appended to in place, or an immutable one."""

Next: TypeAlias = Callable[[Request], Awaitable[AnyResponse]]
"""The rest of the chain, down to the handler."""


SESSION_EXCLUDED = "chirp.session_excluded"
"""The scope key that is True where a session middleware left the request alone: its path is in `exclude_paths`."""


class Middleware(Protocol):
    """One link of the chain; a plain `async def middleware(request, next)` is one too.

    A middleware that owns resources may also have an `async aclose()`. The app calls it at shutdown,
    the middleware added last first.
    """

    async def __call__(self, request: Request, following: Next, /) -> AnyResponse:
        """Answer the request, usually by awaiting `following(request)` and returning what it gave."""
        ...
