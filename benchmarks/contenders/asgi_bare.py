"""The app without session middleware: what the others add is counted from here."""

from collections.abc import Sequence

from starlette.middleware import Middleware

from benchmarks.contenders.asgi_app import AsgiApp
from benchmarks.contenders.asgi_requests import KeptInMemory


class AsgiBare(KeptInMemory, AsgiApp):
    name = "no sessions"
    description = "Starlette without session middleware; request.session is a dict of the benchmark's, kept in memory"

    def middleware(self) -> Sequence[Middleware]:
        return ()
