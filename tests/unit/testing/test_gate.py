"""A request of a running app that stops between load and save."""

import asyncio
from dataclasses import replace

import pytest
from session_kit import app_under, call_asgi, config_with, http_scope
from starlette.requests import Request
from starlette.responses import Response

from chirp.middleware.sessions import MemorySessionStore, get_session
from chirp.testing import Gate


class Visitor:
    """A browser of an app whose requests may overlap; they are ASGI calls in one event loop."""

    def __init__(self, front: str) -> None:
        config = config_with()
        self.store = MemorySessionStore(config)
        self.gate = Gate(self.store)
        self.app = app_under(front, self._answer, replace(config, store=self.gate))
        self.cookie: str | None = None

    def _answer(self, request: Request) -> Response:
        session = get_session()
        name = request.url.path.strip("/")
        if name == "logout":
            session.clear()
        elif name:
            session[name] = 1
        return Response(",".join(sorted(session)))

    async def get(self, path: str) -> str:
        headers = [(b"cookie", f"chirp_session={self.cookie}".encode())] if self.cookie else []
        sent = await call_asgi(self.app, http_scope(path=path, raw_path=path.encode(), headers=headers))
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                kept = value.decode().partition(";")[0].partition("=")[2]
                self.cookie = None if b"Max-Age=0" in value else kept
        body: bytes = sent[1]["body"]
        return body.decode()


@pytest.fixture(params=["app", "asgi"])
def visitor(request: pytest.FixtureRequest) -> Visitor:
    return Visitor(request.param)


async def test_a_stopped_request_has_loaded_and_not_saved(visitor: Visitor) -> None:
    """Until it is let go, others see what stood before it."""
    await visitor.get("/a")
    stopped = visitor.gate.stop_next()
    late = asyncio.create_task(visitor.get("/late"))
    await stopped.reached()
    assert await visitor.get("/b") == "a,b"
    assert not late.done()
    stopped.go_on()
    await late
    assert await visitor.get("/") == "a,b,late"


async def test_a_logout_beside_a_stopped_request_stays_one(visitor: Visitor) -> None:
    """What the gate is for: the interleaving is forced."""
    await visitor.get("/a")
    stopped = visitor.gate.stop_next()
    late = asyncio.create_task(visitor.get("/late"))
    await stopped.reached()
    await visitor.get("/logout")
    stopped.go_on()
    await late
    assert await visitor.get("/") == ""


async def test_the_request_to_stop_can_be_chosen(visitor: Visitor) -> None:
    """By what its handler has stored; others pass."""
    await visitor.get("/a")
    stopped = visitor.gate.stop_next(lambda session: "late" in session)
    await visitor.get("/b")
    late = asyncio.create_task(visitor.get("/late"))
    await stopped.reached()
    stopped.go_on()
    await late
    assert await visitor.get("/") == "a,b,late"


async def test_a_request_that_does_not_come_is_told(visitor: Visitor) -> None:
    """A test that waits for it fails instead of hanging."""
    with pytest.raises(TimeoutError):
        await visitor.gate.stop_next().reached(seconds=0.01)


async def test_the_gate_speaks_for_the_stores_config(visitor: Visitor) -> None:
    """So a front can still tell that the two configs differ."""
    assert visitor.gate.config is visitor.store.config
