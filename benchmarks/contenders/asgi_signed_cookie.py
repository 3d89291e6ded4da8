"""Starlette's own sessions: the data itself, signed, in the cookie. No server is asked."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from benchmarks.contenders.asgi_app import AsgiApp
from benchmarks.contenders.contender import SECRET


class AsgiSignedCookie(AsgiApp):
    name = "signed cookie"
    description = "Starlette with its SessionMiddleware(secret_key, https_only=True)"

    def middleware(self) -> Sequence[Middleware]:
        return (Middleware(SessionMiddleware, secret_key=SECRET, https_only=True),)
