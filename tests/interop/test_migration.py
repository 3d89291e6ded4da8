"""Whoever was signed in with what the app used before stays signed in, and a logout stays one."""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from old_sites import IN_REDIS, KINDS, OLD_SECRET, Site, old_app, predecessor
from redis.asyncio import Redis
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from telemetry_kit import events

from chirp import (
    App,
    ASGISessionMiddleware,
    ConfigurationError,
    CookieSessionStore,
    RedisSessionStore,
    SessionConfig,
    SessionMiddleware,
    StoreUnavailable,
    regenerate_session,
)
from chirp.middleware.sessions.predecessor import Predecessor
from chirp.middleware.sessions.steps import End
from chirp.migration import JSONInRedis, StarletteCookies, StarsessionsCookies

SIGNED_IN = {"user_id": 7, "cart": [1, {"ä": None}]}
FRONTS = ("asgi", "app")
GRACE_MS = 30_000

pytestmark = pytest.mark.anyio


class Move(Site):
    """A site before and after its migration."""

    def __init__(self, kind: str, redis: Redis, url: str, prefix: str) -> None:
        super().__init__()
        self.kind = kind
        self.redis = redis
        self.url = url
        self.prefix = prefix
        self.store: Any = None
        self.app = self.old = old_app(kind, self, redis, prefix)

    def migrate(
        self, front: str = "asgi", old: Predecessor | None = None, *, store: str = "redis", **more: Any
    ) -> None:
        """Put the new app in the old one's place."""
        old = old or predecessor(self.kind, self.redis, self.prefix)
        config = SessionConfig("of the new app, and quite long enough", predecessors=(old,), **more)
        in_redis = store == "redis"
        self.store = RedisSessionStore(config, self.url, self.prefix) if in_redis else CookieSessionStore(config)
        config = SessionConfig("of the new app, and quite long enough", predecessors=(old,), store=self.store, **more)
        if front == "asgi":
            self.app = self.starlette(Middleware(ASGISessionMiddleware, config=config))
        else:
            self.app = App()
            self.app.add_middleware(SessionMiddleware(config))
            self.app.route("/{any:path}")(self.answer)

    async def sign_in(self) -> str:
        """Sign in on the old app, and return the old cookie."""
        await self.visit(lambda request: request.session.update(SIGNED_IN))
        old = self.client.cookies.get("session")
        assert old is not None
        return old

    async def old_keys(self) -> list[bytes]:
        return [key async for key in self.redis.scan_iter(match=f"{self.prefix}old:*", count=1000)]


MakeMove = Callable[[str], Move]


@pytest.fixture
async def move(redis_client: Redis, redis_url: str, key_prefix: str) -> AsyncIterator[MakeMove]:
    made: list[Move] = []

    def make(kind: str) -> Move:
        made.append(Move(kind, redis_client, redis_url, key_prefix))
        return made[-1]

    yield make
    for each in made:
        await each.client.aclose()
        if each.store is not None:
            await each.store.aclose()


def log_out(request: Request) -> None:
    request.session.clear()


def deletes(response: httpx2.Response, name: str = "session") -> bool:
    return any(line.startswith(f'{name}=""; Max-Age=0') for line in response.headers.get_list("set-cookie"))


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


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_logout_after_the_migration_stays(move: MakeMove, kind: str, front: str) -> None:
    """The browser has no old cookie that would bring the user back."""
    site = move(kind)
    await site.sign_in()
    site.migrate(front)
    await site.visit()
    await site.visit(log_out)
    assert ((await site.visit()).json(), len(site.client.cookies)) == ({}, 0)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_logout_as_the_first_request_ends_the_old_session(move: MakeMove, kind: str, front: str) -> None:
    """Nothing is stored, and what was in Redis is gone at once."""
    site = move(kind)
    await site.sign_in()
    site.migrate(front)
    response = await site.visit(log_out)
    assert (deletes(response), len(site.client.cookies), await site.old_keys()) == (True, 0, [])
    assert response.headers["cache-control"] == "no-store, private"
    assert await site.store.list_sessions(7) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_login_in_the_first_request_ends_the_old_session(move: MakeMove, kind: str) -> None:
    """Only the new user is there, and requests in flight do not find the old one."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    response = await site.visit(lambda request: regenerate_session().update(user_id=8))
    assert (deletes(response), await site.old_keys(), (await site.visit()).json()) == (True, [], {"user_id": 8})


@pytest.mark.parametrize("kind", KINDS)
async def test_another_user_in_the_first_request_ends_the_old_session(move: MakeMove, kind: str) -> None:
    """However the user was changed."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    await site.visit(lambda request: request.session.update(user_id=8))
    assert (await site.old_keys(), (await site.visit()).json()["user_id"]) == ([], 8)


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


@pytest.mark.parametrize("kind", KINDS)
async def test_two_tabs_at_once_are_both_signed_in(move: MakeMove, kind: str) -> None:
    """Each request becomes a session, and the browser keeps the one that arrives last."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    answers = await asyncio.gather(site.visit(), site.visit())
    assert [each.json() for each in answers] == [SIGNED_IN, SIGNED_IN]
    assert (await site.visit()).json() == SIGNED_IN


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


def log_in(request: Request) -> None:
    regenerate_session().update(user_id=8)


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


@pytest.mark.parametrize("policy", ["unavailable", "anonymous"])
async def test_a_logout_in_an_outage_is_not_pretended_either(move: MakeMove, policy: str) -> None:
    """A request in flight could not be told of it."""
    site = move("starlette")
    await site.sign_in()
    site.url = "redis://localhost:1"
    site.migrate(on_store_error=policy)
    answer = await site.visit(log_out)
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (503, [])


async def test_without_a_grace_a_logout_is_remembered_all_the_same(move: MakeMove) -> None:
    """As a revocation is."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(rotation_grace_seconds=0)
    async with in_flight(site):
        await site.visit(log_out)
    assert await site.store.list_sessions(7) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dead_session_is_not_replaced_by_the_old_one(move: MakeMove, kind: str) -> None:
    """Who was signed out from elsewhere does not come back by an old cookie, remembered as ended or not."""
    site = move(kind)
    old = await site.sign_in()
    site.migrate()
    await site.visit()
    await site.store.revoke_user(7)
    site.client.cookies.set("session", old, domain="testserver.local")
    ended = await site.visit()
    assert ended.json() == {}
    async for key in site.redis.scan_iter(match=f"{site.prefix}*"):
        if not key.startswith(f"{site.prefix}old:".encode()):
            await site.redis.delete(key)
    assert (await site.visit()).json() == {}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_logout_deletes_an_old_cookie_that_is_still_there(move: MakeMove, kind: str) -> None:
    """Such as one that an instance of the old app has set since."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    await site.visit()
    new, site.app = site.app, site.old
    await site.sign_in()
    site.app = new
    assert not deletes(await site.visit())
    assert deletes(await site.visit(log_out))
    assert ((await site.visit()).json(), len(site.client.cookies)) == ({}, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_over_is_not_looked_at(move: MakeMove, kind: str) -> None:
    """After `until` an old cookie is nothing."""
    site = move(kind)
    await site.sign_in()
    site.migrate(old=predecessor(kind, site.redis, site.prefix, until=datetime(2020, 1, 1, tzinfo=UTC)))
    response = await site.visit()
    assert (response.json(), deletes(response)) == ({}, False)
    site.migrate(old=predecessor(kind, site.redis, site.prefix, until=time.time() + 3600))
    assert (await site.visit()).json() == SIGNED_IN


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


async def test_a_response_that_many_requests_share_is_not_changed(move: MakeMove) -> None:
    """Others would be signed out by the deletion."""
    shared = Response(headers={"vary": "Cookie"})

    def leave(request: Request) -> Response:
        log_out(request)
        return shared

    site = move("starlette")
    await site.sign_in()
    site.migrate("app")
    assert deletes(await site.visit(leave))
    assert "set-cookie" not in shared.headers


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


@pytest.mark.parametrize("front", FRONTS)
async def test_the_cookie_store_takes_over_as_well(move: MakeMove, front: str) -> None:
    """From Redis into a cookie."""
    site = move("starsessions-redis")
    await site.sign_in()
    site.migrate(front, store="cookie")
    assert (await site.visit()).json() == (await site.visit()).json() == SIGNED_IN
    assert set(site.client.cookies) == {"chirp_session"}


@pytest.mark.parametrize("front", FRONTS)
async def test_a_login_too_many_is_refused_once(move: MakeMove, front: str) -> None:
    """Not each request from then on: the old cookie goes, so that the user can sign in and is told there."""
    site = move("starlette")
    old = await site.sign_in()
    site.migrate(front, max_sessions_per_user=1, on_session_limit="refuse")
    await site.visit()
    async with site.browser() as other:
        other.cookies.set("session", old, domain="testserver.local")
        assert (await site.visit(client=other)).status_code == 409
        assert (await site.visit(client=other)).status_code == 200


@pytest.mark.parametrize("front", FRONTS)
async def test_a_public_response_is_not_kept_by_caches(move: MakeMove, front: str) -> None:
    """It carries a cookie."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(front)
    response = await site.visit(lambda request: Response(headers={"cache-control": "public, max-age=60"}))
    assert response.headers["cache-control"] == "no-store, private"
    assert response.headers["vary"] == "Cookie"


@pytest.mark.parametrize("front", FRONTS)
async def test_excluded_paths_migrate_nothing(move: MakeMove, front: str) -> None:
    """There is no session there."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(front, exclude_paths=("/static",))
    response = await site.visit(lambda request: Response(), "/static/a.css")
    assert response.headers.get_list("set-cookie") == []


async def test_old_data_is_converted(move: MakeMove) -> None:
    """Before it is stored, and by something that may have to wait."""

    async def convert(data: dict[str, Any]) -> dict[str, Any]:
        return {"user_id": str(data["user_id"])}

    site = move("starlette")
    await site.sign_in()
    site.migrate(old=predecessor("starlette", site.redis, site.prefix, convert=convert))
    assert (await site.visit()).json() == {"user_id": "7"}


async def test_the_migration_is_told(move: MakeMove, caplog: pytest.LogCaptureFixture) -> None:
    """Once, beside the new session."""
    caplog.set_level(logging.INFO)
    site = move("starlette")
    await site.sign_in()
    site.migrate()
    await site.visit()
    await site.visit()
    assert events(caplog.records) == ["regenerated", "migrated"]


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


async def test_a_deletion_is_of_the_old_cookies_own_path_and_domain() -> None:
    """Browsers ignore it otherwise."""
    old = StarletteCookies("x" * 32, path="/app", domain="example.com", samesite="none", partitioned=True)
    assert old.deletion(https=False) == (
        'session=""; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/app; Domain=example.com; HttpOnly; '
        "SameSite=None; Partitioned; Secure"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: StarletteCookies(""),
        lambda: StarletteCookies("x", max_age=0),
        lambda: StarletteCookies("x", cookie_name="a=b"),
        lambda: StarletteCookies("x", path="/;"),
        lambda: StarletteCookies("x", samesite="no"),
        lambda: StarletteCookies("x", partitioned=True),
        lambda: StarletteCookies("x", until="tomorrow"),
        lambda: StarletteCookies("x", convert=1),
        lambda: JSONInRedis(None),
        lambda: JSONInRedis(Redis(), "session:"),
        lambda: JSONInRedis(Redis(), timeout_seconds=0),
        lambda: SessionConfig("x" * 32, predecessors=[StarletteCookies("x")]),  # type: ignore[arg-type]
        lambda: SessionConfig("x" * 32, predecessors=(1,)),  # type: ignore[arg-type]
        lambda: SessionConfig("x" * 32, "session", predecessors=(StarletteCookies("x"),)),
    ],
    ids=itertools.count(),
)
async def test_what_cannot_work_is_refused(make: Callable[[], object]) -> None:
    """At construction."""
    with pytest.raises(ConfigurationError):
        make()


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


@pytest.mark.parametrize("kind", KINDS)
async def test_a_login_deletes_an_old_cookie_that_is_still_there(move: MakeMove, kind: str) -> None:
    """The user before does not come back when the new one leaves."""
    site = move(kind)
    await site.sign_in()
    site.migrate()
    await site.visit()
    new, site.app = site.app, site.old
    await site.sign_in()
    site.app = new
    assert deletes(await site.visit(lambda request: regenerate_session().update(user_id=8)))


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


async def test_a_login_in_an_outage_is_not_pretended(move: MakeMove) -> None:
    """Whatever the policy; the old session is as it was."""
    site = move("starlette")
    await site.sign_in()
    site.url = "redis://localhost:1"
    site.migrate(on_store_error="anonymous")
    answer = await site.visit(lambda request: regenerate_session().update(user_id=8))
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (503, [])


@dataclass
class Shop:
    """What a typed session holds."""

    user_id: int = 0
    cart: list[Any] = field(default_factory=list)


@dataclass
class Other:
    """What no old session holds."""

    user_id: str = ""


@pytest.mark.parametrize(("model", "expected"), [(Shop, SIGNED_IN), (Other, {})])
async def test_old_data_is_held_against_the_model(move: MakeMove, model: type[Any], expected: Any) -> None:
    """What does not fit it is left alone."""
    site = move("starlette")
    await site.sign_in()
    site.migrate(model=model)
    response = await site.visit()
    assert (response.json(), deletes(response)) == (expected, bool(expected))
