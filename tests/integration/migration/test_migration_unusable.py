"""An old cookie or document that cannot be taken over is nothing: the request is anonymous."""

import secrets
import time
from typing import Any

import pytest
from migration_kit import MakeMove, deletes, log_out
from old_sites import IN_REDIS, KINDS, predecessor
from redis.asyncio import Redis
from starlette.responses import Response

from chirp.migration import JSONInRedis

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["", "x", "a.b.c", '"\\377\\200"', "null", "%00", "e30=", "=" * 4000])
async def test_a_cookie_that_leads_nowhere_is_nothing(move: MakeMove, kind: str, value: str) -> None:
    """Forged, corrupt or empty: the request is anonymous."""
    site = move(kind)
    site.migrate()
    response = await site.client.get("/", headers={"cookie": f"session={value}"})
    assert (response.status_code, response.json(), response.headers.get_list("set-cookie")) == (200, {}, [])


@pytest.mark.parametrize("kind", KINDS[:2])
async def test_a_signed_cookie_that_is_too_old_is_nothing(move: MakeMove, kind: str) -> None:
    """As it was with the old app."""
    site = move(kind)
    await site.sign_in()
    old: Any = predecessor(kind, site.redis, site.prefix)
    old._signer.get_timestamp = lambda: int(time.time()) + 15 * 86400
    site.migrate(old=old)
    assert (await site.visit()).json() == {}


@pytest.mark.parametrize("kind", IN_REDIS)
@pytest.mark.parametrize("document", [b"", b"{", b"[1]", b"\xff", b'"text"', b"[" * 100_000])
async def test_a_document_that_is_no_object_is_nothing(move: MakeMove, kind: str, document: bytes) -> None:
    """Whatever stands under the key."""
    site = move(kind)
    await site.redis.set(f"{site.prefix}old:x", document)
    site.migrate()
    response = await site.client.get("/", headers={"cookie": "session=x"})
    assert (response.status_code, response.json()) == (200, {})


@pytest.mark.parametrize("kind", IN_REDIS)
async def test_a_value_of_another_type_is_nothing(move: MakeMove, kind: str) -> None:
    """A client may name any key under the prefix."""
    site = move(kind)
    await site.redis.hset(f"{site.prefix}old:x", "a", "1")
    site.migrate()
    assert (await site.client.get("/", headers={"cookie": "session=x"})).status_code == 200


@pytest.mark.parametrize("kind", IN_REDIS)
async def test_a_value_larger_than_any_cookie_is_not_looked_for(move: MakeMove, kind: str) -> None:
    """Whatever a client sends, the old Redis is asked for nothing larger."""
    site = move(kind)
    value = "x" * 8193
    await site.redis.set(f"{site.prefix}old:{value}", b'{"a":1}')
    site.migrate()
    assert (await site.client.get("/", headers={"cookie": f"session={value}"})).json() == {}


@pytest.mark.parametrize("kind", IN_REDIS)
async def test_what_is_no_session_is_not_ended(move: MakeMove, kind: str) -> None:
    """Or whoever logs out with a cookie of his own making could delete any key under the prefix."""
    site = move(kind)
    await site.redis.zadd(f"{site.prefix}old:x", {"a": 1})
    await site.redis.set(f"{site.prefix}old:y", "17")
    site.migrate()
    for value in "xy":
        site.client.cookies.set("session", value)
        assert deletes(await site.visit(log_out))
    assert len(await site.old_keys()) == 2


async def test_a_document_that_is_no_text_is_nothing_to_a_client_that_decodes(redis_url: str, key_prefix: str) -> None:
    """It is no outage."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        await client.set(f"{key_prefix}x", b"\xff")
        assert await JSONInRedis(client, key_prefix + "{id}").read("x") is None


@pytest.mark.parametrize(("store", "settings"), [("redis", {"max_bytes": 256}), ("cookie", {})])
async def test_what_does_not_fit_is_anonymous(move: MakeMove, store: str, settings: Any) -> None:
    """No error for the user, who may sign in anew; the old session is left alone."""
    site = move("json-in-redis")
    await site.visit(lambda request: request.session.update(much=secrets.token_hex(3000)))
    site.migrate(store=store, **settings)
    response = await site.visit()
    assert (response.json(), response.headers.get_list("set-cookie"), len(await site.old_keys())) == ({}, [], 1)


async def test_what_json_would_change_is_anonymous(move: MakeMove, caplog: pytest.LogCaptureFixture) -> None:
    """Python writes and reads a NaN, which is no JSON."""
    site = move("starlette")
    await site.visit(lambda request: request.session.update(number=float("nan")) or Response())
    site.migrate()
    response = await site.visit()
    assert (response.status_code, response.json()) == (200, {})
    assert any(message.startswith("what a predecessor holds cannot be kept") for message in caplog.messages)
