"""Commands that the server carried out and whose replies were lost: what is repeated, and what never is."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from monitor import monitored
from proxy import Proxy, proxied
from redis.asyncio import Redis
from servers import OwnServer
from visits import CONFIG, MakeStore, Visit, commit, put, read, visit

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import Reply, Step


@pytest.fixture
async def proxy(server: OwnServer) -> AsyncIterator[Proxy]:
    async with proxied(server.url) as proxy:
        yield proxy


@pytest.fixture
async def store(make_store: MakeStore, proxy: Proxy) -> AsyncIterator[RedisSessionStore]:
    """A store that reaches its server through the proxy."""
    store = make_store(proxy.url)
    yield store
    await store.aclose()


@pytest.fixture
def direct(make_store: MakeStore, server: OwnServer) -> RedisSessionStore:
    """A store of another process, with a connection of its own that nothing cuts."""
    return make_store(server.url)


@pytest.fixture
async def client(server: OwnServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


async def warm(store: RedisSessionStore) -> None:
    """Have both scripts cached, so that the next calls go by their hashes."""
    cookie = await put(store, await put(store, a=1), b=2)
    await visit(store, cookie, Session.clear)


async def test_a_load_is_repeated(store: RedisSessionStore, proxy: Proxy) -> None:
    """A connection that breaks in the middle of a load costs a second attempt, not the request."""
    cookie = await put(store, a=1)
    proxy.lose_reply_to = b"MGET"
    assert await read(store, cookie) == {"a": 1}
    assert proxy.lose_reply_to is None


async def test_a_create_is_repeated_and_recognised(store: RedisSessionStore, proxy: Proxy, client: Redis) -> None:
    """A session that was created already when its create is repeated is this request's own, and there is only one."""
    proxy.lose_reply_to = b"\r\nNX\r\n"
    session, cookie = await visit(store, None, lambda session: session.update(a=1))
    assert proxy.lose_reply_to is None
    assert cookie is not None
    assert await read(store, session.id or "") == {"a": 1}
    assert len(await client.keys(f"{store.key_prefix}*")) == 1


async def test_a_create_beside_an_unknown_cookie_is_repeated_and_recognised(
    store: RedisSessionStore, proxy: Proxy, client: Redis
) -> None:
    """The same holds where the create travels with a look at the presented id."""
    proxy.lose_reply_to = b"\r\nNX\r\n"
    fresh = await put(store, "x" * 43, a=1)
    assert proxy.lose_reply_to is None
    assert await read(store, fresh) == {"a": 1}
    assert len(await client.keys(f"{store.key_prefix}*")) == 1


async def test_a_logout_is_repeated(store: RedisSessionStore, proxy: Proxy, client: Redis) -> None:
    """A logout whose reply is lost succeeds: the session is dead, whichever of the two attempts killed it."""
    await warm(store)
    cookie = await put(store, a=1)
    proxy.lose_reply_to = b"EVALSHA"
    await visit(store, cookie, Session.clear)
    assert proxy.lose_reply_to is None
    assert await client.get(store.key_for(cookie)) == b"dead"


async def test_a_login_by_regeneration_is_repeated(store: RedisSessionStore, proxy: Proxy, client: Redis) -> None:
    """A regeneration whose reply is lost succeeds: one new session, the old id dead."""
    await warm(store)
    cookie = await put(store, a=1)

    def login(session: Session) -> None:
        regenerate_session()["user_id"] = 7

    proxy.lose_reply_to = b"EXEC"
    session, header = await visit(store, cookie, login)
    assert proxy.lose_reply_to is None
    assert header is not None
    assert await read(store, session.id or "") == {"user_id": 7}
    assert await client.get(store.key_for(cookie)) == b"dead"


async def test_a_change_is_not_repeated(store: RedisSessionStore, proxy: Proxy, server: OwnServer) -> None:
    """A compare-and-set whose reply is lost is sent once only, told as an outage, and wholly written."""
    await warm(store)
    cookie = await put(store, a=1)
    async with monitored(server.url, store.key_prefix) as monitor:
        proxy.lose_reply_to = b"EVALSHA"
        with pytest.raises(StoreUnavailable):
            await put(store, cookie, b=2)
        assert await monitor.names() == ["MGET", "EVALSHA"]
    assert await read(store, cookie) == {"a": 1, "b": 2}


async def test_what_another_request_consumed_is_not_put_back(
    store: RedisSessionStore, direct: RedisSessionStore, proxy: Proxy
) -> None:
    """After a lost reply another request may undo the change; a late repetition would bring it back."""
    await warm(store)
    cookie = await put(store, a=1)
    session = await store.open(cookie, https=True)
    session["voucher"] = "once"
    proxy.lose_reply_to = b"EVALSHA"
    commits = asyncio.create_task(commit(store, session))
    while "voucher" not in await read(direct, cookie):
        await asyncio.sleep(0)
    await visit(direct, cookie, lambda session: session.pop("voucher"))
    with pytest.raises(StoreUnavailable):
        await commits
    assert await read(direct, cookie) == {"a": 1}


@pytest.mark.parametrize("follow", [False, True])
async def test_a_rotation_whose_reply_is_lost_is_looked_for_and_not_repeated(
    store: RedisSessionStore, proxy: Proxy, client: Redis, server: OwnServer, *, follow: bool
) -> None:
    """The old id is dead by then, so a browser that was not told of the new one would be logged out (promise 9)."""
    await warm(store)
    cookie = await put(store, a=1)
    async with monitored(server.url, store.key_prefix) as monitor:
        proxy.lose_reply_to = b"EXEC"
        done = await visit(store, cookie, lambda session: rotate_session(follow=follow))
        assert (await monitor.names()).count("EVALSHA") == 1
    values = [await client.get(key) for key in await client.keys(f"{store.key_prefix}*")]
    assert sum(b'"a":1' in (value or b"") for value in values) == 1
    assert done.cookie is not None
    assert await read(store, done.session.id or "") == {"a": 1}


@pytest.mark.parametrize("there", [True, False], ids=["the store answers again", "it does not"])
async def test_a_rotation_that_did_not_happen_is_told_and_leaves_the_session(
    direct: RedisSessionStore, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """The connection was lost before the server had taken anything."""
    cookie = await put(direct, a=1)
    session = await direct.open(cookie, https=True)
    session["user_id"] = 7

    async def lost(steps: Sequence[Step]) -> list[Reply]:
        raise StoreUnavailable("lost") from ConnectionError()

    async def out(key: str) -> bytes:
        raise StoreUnavailable("out")

    with monkeypatch.context() as broken:
        broken.setattr(direct, "_run", lost)
        if not there:
            broken.setattr(direct, "_read", out)
        with pytest.raises(StoreUnavailable, match="lost"):
            await commit(direct, session)
    assert await read(direct, cookie) == {"a": 1}


async def test_a_renewal_without_a_grace_whose_reply_is_lost_is_told(make_store: MakeStore, proxy: Proxy) -> None:
    """Nothing is left under the old key then, from which it could be seen whether it happened."""
    store = make_store(proxy.url, config=replace(CONFIG, rotation_grace_seconds=0))
    await warm(store)
    cookie = await put(store, a=1)
    proxy.lose_reply_to = b"EXEC"
    with pytest.raises(StoreUnavailable):
        await visit(store, cookie, lambda session: rotate_session())
    await store.aclose()


async def test_other_operations_of_the_batch_are_repeated_where_that_is_safe(
    store: RedisSessionStore, proxy: Proxy
) -> None:
    """A rotation in a lost batch is looked for; the creates beside it are made again."""
    await warm(store)
    cookie = await put(store, a=1)
    rotating = await store.open(cookie, https=True)
    rotating["user_id"] = 7
    proxy.lose_reply_to = b"EXEC"
    results = await asyncio.gather(
        commit(store, rotating), *(put(store, number=number) for number in range(5)), return_exceptions=True
    )
    assert isinstance(results[0], Visit)
    assert await read(store, results[0].session.id or "") == {"a": 1, "user_id": 7}
    assert [await read(store, str(fresh)) for fresh in results[1:]] == [{"number": n} for n in range(5)]


@pytest.mark.parametrize("step", ["change", "end", "regenerate", "rotate"])
async def test_scripts_that_the_server_has_forgotten_are_sent_again(
    direct: RedisSessionStore, client: Redis, step: str
) -> None:
    """SCRIPT FLUSH, or a failover to a server without them, is not noticed by any request."""
    await warm(direct)
    cookie = await put(direct, a=1)
    await client.script_flush()
    match step:
        case "change":
            await put(direct, cookie, b=2)
            assert await read(direct, cookie) == {"a": 1, "b": 2}
        case "end":
            assert (await visit(direct, cookie, Session.clear)).cookie is not None
            assert await client.get(direct.key_for(cookie)) == b"dead"
        case "regenerate":
            session = (await visit(direct, cookie, lambda session: regenerate_session().update(b=2))).session
            assert await read(direct, session.id or "") == {"b": 2}
            assert await client.get(direct.key_for(cookie)) == b"dead"
        case "rotate":
            fresh = await put(direct, cookie, user_id=7)
            assert await read(direct, fresh) == {"a": 1, "user_id": 7}
            assert (await client.get(direct.key_for(cookie)) or b"").startswith(b"moved ")
    assert len(await client.keys(direct.key_prefix + "?" * 64)) <= 3


async def test_replies_that_come_late_or_in_pieces_reach_the_right_request(
    make_store: MakeStore, direct: RedisSessionStore, proxy: Proxy
) -> None:
    """Deadlines that strike at every possible moment of a reply never give one session's data to another."""
    chance = random.Random(20)
    store = make_store(proxy.url, timeout_seconds=0.03)
    cookies = await asyncio.gather(*(put(direct, owner=number) for number in range(8)))
    await asyncio.gather(*(read(store, cookie) for cookie in cookies))
    proxy.delay = lambda: chance.choice((0, 0, 0.005, 0.02))
    outcomes: set[str] = set()
    for _ in range(60):
        found = await asyncio.gather(*(read(store, cookie) for cookie in cookies), return_exceptions=True)
        for number, result in enumerate(found):
            assert isinstance(result, StoreUnavailable) or result == {"owner": number}
            outcomes.add(type(result).__name__)
    assert outcomes == {"dict", "StoreUnavailable"}
    await store.aclose()
