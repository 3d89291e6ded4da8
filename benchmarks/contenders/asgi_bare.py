"""The app without session middleware: what the others add is counted from here."""

from collections.abc import Sequence
from typing import Any

from starlette.middleware import Middleware
from starlette.types import Scope

from benchmarks.contenders.asgi_app import AsgiApp


class AsgiBare(AsgiApp):
    name = "no sessions"
    description = "Starlette without session middleware; request.session is a dict of the benchmark's, kept in memory"

    def middleware(self) -> Sequence[Middleware]:
        return ()

    async def begin(self, sessions: int) -> None:
        self._kept: list[dict[str, Any]] = [{} for _ in range(sessions)]
        await super().begin(sessions)

    def _scope(self, path: str, task: int, query: bytes) -> Scope:
        scope = super()._scope(path, task, query)
        scope["session"] = self._kept[task]
        return scope
