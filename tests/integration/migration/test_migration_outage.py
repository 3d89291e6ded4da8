"""While the new store or the old one is out, no session is lost and no logout pretended."""

import asyncio
from typing import Any

import pytest
from migration_kit import FRONTS, GRACE_MS, SIGNED_IN, MakeMove, log_in, log_out
from old_sites import IN_REDIS, KINDS, OLD_SECRET, predecessor
from redis.asyncio import Redis

from chirp import StoreUnavailable, regenerate_session
from chirp.middleware.sessions.steps import End
from chirp.migration import JSONInRedis, StarletteCookies

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", IN_REDIS)
@pytest.mark.parametrize(("policy", "status"), [("unavailable", 503), ("anonymous", 200)])
async def test_an_old_redis_out_of_reach_is_an_outage(
    move: MakeMove, kind: str, front: str, policy: str, status: int
) -> None:
    """The old session is as it was, and goes on once the server answers."""
    site = move(kind)
    await site.sign_in()
    async with Redis(port=1) as nobody:
        site.migrate(front, predecessor(kind, nobody, site.prefix), on_store_error=policy)
        answer = await site.visit(lambda request: request.session.update(lost=1))
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (status, [])
    await site.store.aclose()
    site.migrate(front)
    assert (await site.visit()).json() == SIGNED_IN


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("policy", "status"), [("unavailable", 503), ("anonymous", 200)])
async def test_a_failed_commit_leaves_the_old_session(
    move: MakeMove, kind: str, front: str, policy: str, status: int
) -> None:
    """Never is the old one ended before the new one is stored."""
    site = move(kind)
    await site.sign_in()
    url, site.url = site.url, "redis://localhost:1"
    site.migrate(front, on_store_error=policy)
    answer = await site.visit()
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (status, [])
    assert all([await site.redis.pttl(key) > GRACE_MS for key in await site.old_keys()])
    site.url = url
    site.migrate(front)
    assert (await site.visit()).json() == SIGNED_IN


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_visitor_has_is_not_lost_in_an_outage(move: MakeMove, kind: str) -> None:
    """Without a user as well the old session stays until the new one is stored."""
    site = move(kind)
    await site.visit(lambda request: request.session.update(cart=[1]))
    url, site.url = site.url, "redis://localhost:1"
    site.migrate(on_store_error="anonymous")
    answer = await site.visit()
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (200, [])
    site.url = url
    site.migrate()
    assert (await site.visit()).json() == {"cart": [1]}


async def test_a_login_in_an_outage_is_not_pretended(move: MakeMove) -> None:
    """Whatever the policy; the old session is as it was."""
    site = move("starlette")
    await site.sign_in()
    site.url = "redis://localhost:1"
    site.migrate(on_store_error="anonymous")
    answer = await site.visit(lambda request: regenerate_session().update(user_id=8))
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (503, [])


@pytest.mark.parametrize("policy", ["unavailable", "anonymous"])
async def test_a_logout_in_an_outage_is_not_pretended_either(move: MakeMove, policy: str) -> None:
    """A request in flight could not be told of it."""
    site = move("starlette")
    await site.sign_in()
    site.url = "redis://localhost:1"
    site.migrate(on_store_error=policy)
    answer = await site.visit(log_out)
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (503, [])


async def test_a_login_that_was_stored_gets_its_cookie(move: MakeMove, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the store is out before it is told that the old session was left."""
    site = move("starlette")
    await site.sign_in()
    site.migrate()
    run = site.store._run

    async def failing(steps: Any) -> Any:
        if all(isinstance(step, End) for step in steps):
            raise StoreUnavailable("it is out")
        return await run(steps)

    monkeypatch.setattr(site.store, "_run", failing)
    assert "chirp_session" in (await site.visit(log_in)).cookies


async def test_an_end_that_fails_fails_nothing_else(move: MakeMove, caplog: pytest.LogCaptureFixture) -> None:
    """It is stored already, so the browser gets its cookie."""

    class Endless(StarletteCookies):
        async def end(self, value: str, grace_seconds: int) -> None:
            raise StoreUnavailable("it is out")

    site = move("starlette")
    await site.sign_in()
    site.migrate(old=Endless(OLD_SECRET))
    assert (await site.visit()).json() == (await site.visit()).json() == SIGNED_IN
    assert "an old session could not be ended: it is out" in caplog.messages


async def test_a_redis_that_says_nothing_is_not_waited_for() -> None:
    """Beyond the deadline."""

    class Silent:
        async def get(self, key: str) -> None:
            await asyncio.Event().wait()

        pttl = pexpire = delete = get

    old = JSONInRedis(Silent(), timeout_seconds=0.01)
    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailable):
            await old.read("x")
