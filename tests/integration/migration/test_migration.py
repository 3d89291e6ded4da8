"""Whoever was signed in with what the app used before stays signed in."""

import asyncio
import logging
from typing import Any

import pytest
from migration_kit import FRONTS, GRACE_MS, SIGNED_IN, MakeMove, deletes
from old_sites import IN_REDIS, KINDS, OLD_SECRET
from starlette.responses import Response
from telemetry_kit import events

from chirp import ASGISessionMiddleware, SessionConfig
from chirp.migration import StarsessionsCookies

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_who_was_signed_in_stays_signed_in(move: MakeMove, kind: str, front: str) -> None:
    """A first request that only reads is enough: it stores a session and deletes the old cookie."""
    site = move(kind)
    await site.sign_in()
    site.migrate(front)
    first = await site.visit()
    assert (first.json(), deletes(first), first.headers["cache-control"]) == (SIGNED_IN, True, "no-store, private")
    assert set(site.client.cookies) == {"chirp_session"}
    assert (await site.visit()).json() == SIGNED_IN
    (listed,) = await site.store.list_sessions(7)
    assert listed.handle


@pytest.mark.parametrize("kind", IN_REDIS)
async def test_an_old_session_lives_on_for_the_grace(move: MakeMove, kind: str) -> None:
    """Requests that the browser has sent at the same time find it, nobody does later."""
    site = move(kind)
    old = await site.sign_in()
    site.migrate()
    await site.visit()
    (key,) = await site.old_keys()
    assert 0 < await site.redis.pttl(key) <= GRACE_MS
    async with site.browser() as other:
        other.cookies.set("session", old)
        assert (await site.visit(client=other)).json() == SIGNED_IN
        assert 0 < await site.redis.pttl(key) <= GRACE_MS


@pytest.mark.parametrize("kind", IN_REDIS)
async def test_an_old_session_without_an_expiry_ends_as_well(move: MakeMove, kind: str) -> None:
    """It would stay for ever."""
    site = move(kind)
    await site.sign_in()
    (key,) = await site.old_keys()
    await site.redis.persist(key)
    site.migrate()
    await site.visit()
    assert 0 < await site.redis.pttl(key) <= GRACE_MS


@pytest.mark.parametrize("kind", IN_REDIS)
async def test_an_old_session_that_ends_sooner_lives_no_longer(move: MakeMove, kind: str) -> None:
    """The grace prolongs nothing."""
    site = move(kind)
    await site.sign_in()
    (key,) = await site.old_keys()
    await site.redis.pexpire(key, GRACE_MS // 2)
    site.migrate()
    await site.visit()
    assert await site.redis.pttl(key) <= GRACE_MS // 2


@pytest.mark.parametrize("kind", KINDS)
async def test_two_tabs_at_once_are_both_signed_in(move: MakeMove, kind: str) -> None:
    """Each request becomes a session, and the browser keeps the one that arrives last."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    answers = await asyncio.gather(site.visit(), site.visit())
    assert [each.json() for each in answers] == [SIGNED_IN, SIGNED_IN]
    assert (await site.visit()).json() == SIGNED_IN


async def test_a_session_saved_early_is_taken_over(move: MakeMove) -> None:
    """The old one ends when the response starts."""
    site = move("json-in-redis")
    await site.sign_in()
    site.migrate()
    response = await site.visit(lambda request: request.session.save())
    assert (response.json(), deletes(response), (await site.visit()).json()) == (SIGNED_IN, True, SIGNED_IN)


async def test_a_cookie_until_the_browser_closes_is_taken_over(move: MakeMove) -> None:
    """With `lifetime=0` starsessions signs for a year."""
    site = move("starsessions-cookie")
    await site.sign_in()
    site.migrate(old=StarsessionsCookies(OLD_SECRET))
    assert (await site.visit()).json() == SIGNED_IN


@pytest.mark.parametrize("front", FRONTS)
async def test_the_cookie_store_takes_over_as_well(move: MakeMove, front: str) -> None:
    """From Redis into a cookie."""
    site = move("starsessions-redis")
    await site.sign_in()
    site.migrate(front, store="cookie")
    assert (await site.visit()).json() == (await site.visit()).json() == SIGNED_IN
    assert set(site.client.cookies) == {"chirp_session"}


async def test_a_websocket_migrates(move: MakeMove) -> None:
    """Its accept carries the cookies."""
    site = move("starlette")
    old = await site.sign_in()
    site.migrate()
    sent: list[Any] = []

    async def connect(scope: Any, receive: Any, send: Any) -> None:
        assert dict(scope["session"]) == SIGNED_IN
        await send({"type": "websocket.accept"})

    async def send(message: Any) -> None:
        sent.append(message)

    app = ASGISessionMiddleware(
        connect, SessionConfig("x" * 32, predecessors=site.store.config.predecessors, store=site.store)
    )
    scope = {"type": "websocket", "path": "/", "scheme": "wss", "headers": [(b"cookie", f"session={old}".encode())]}
    await app(scope, None, send)  # type: ignore[arg-type]
    names = [value.split(b"=")[0] for name, value in sent[0]["headers"] if name == b"set-cookie"]
    assert names == [b"chirp_session", b"session"]


async def test_the_migration_is_told(move: MakeMove, caplog: pytest.LogCaptureFixture) -> None:
    """Once, beside the new session."""
    caplog.set_level(logging.INFO)
    site = move("starlette")
    await site.sign_in()
    site.migrate()
    await site.visit()
    await site.visit()
    assert events(caplog.records) == ["regenerated", "migrated"]


@pytest.mark.parametrize("front", FRONTS)
async def test_a_public_response_is_not_kept_by_caches(move: MakeMove, front: str) -> None:
    """It carries a cookie."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(front)
    response = await site.visit(lambda request: Response(headers={"cache-control": "public, max-age=60"}))
    assert response.headers["cache-control"] == "no-store, private"
    assert response.headers["vary"] == "Cookie"
