"""Who leaves an old session is not brought back by a request that has read it before."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from migration_kit import FRONTS, SIGNED_IN, MakeMove, Move, log_in, log_out
from old_sites import KINDS
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def in_flight(site: Move, then: Callable[[Request], Any] = lambda request: None) -> AsyncIterator[Any]:
    """Run the block while a request of the same browser has loaded its session, and has not stored it yet."""
    loaded, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        result = then(request)
        if asyncio.iscoroutine(result):
            await result
        loaded.set()
        await go_on.wait()
        return JSONResponse(dict(request.session))

    async with site.browser() as client:
        client.cookies.update(site.client.cookies)
        task = asyncio.create_task(site.visit(handler, client=client))
        await loaded.wait()
        yield task
        go_on.set()
        await task


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ask", [log_out, log_in])
async def test_a_request_in_flight_does_not_bring_the_old_session_back(
    move: MakeMove, kind: str, front: str, ask: Callable[[Request], None]
) -> None:
    """It has read the old session before the user left it, and would store it after that."""
    site = move(kind)
    await site.sign_in()
    site.migrate(front)
    async with in_flight(site) as late:
        await site.visit(ask)
    response = await late
    assert (response.json(), response.headers.get_list("set-cookie")) == (SIGNED_IN, [])
    assert await site.store.list_sessions(7) == []


async def test_a_logout_takes_back_what_was_saved_early(move: MakeMove) -> None:
    """The cookie of the early save does not go out."""
    site = move("starlette")
    await site.sign_in()
    site.migrate()
    async with in_flight(site, lambda request: request.session.save()) as late:
        await site.visit(log_out)
    assert (await late).headers.get_list("set-cookie") == []
    assert await site.store.list_sessions(7) == []


async def test_a_login_beside_another_one_is_not_taken_back(move: MakeMove) -> None:
    """It is of no session that somebody has left."""
    site = move("starlette")
    await site.sign_in()
    site.migrate()
    async with in_flight(site, log_in) as late:
        await site.visit(log_in)
    assert "chirp_session" in (await late).cookies
    assert len(await site.store.list_sessions(8)) == 2


async def test_without_a_grace_a_logout_is_remembered_all_the_same(move: MakeMove) -> None:
    """As a revocation is."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(rotation_grace_seconds=0)
    async with in_flight(site):
        await site.visit(log_out)
    assert await site.store.list_sessions(7) == []
