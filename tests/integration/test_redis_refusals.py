"""A server that answers and refuses: no memory, no permission, a replica. Loud, and never half."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from proxy import proxied
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from servers import OwnServer
from visits import MakeStore, Visit, commit, put, read, visit

from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import RedisSessionStore, regenerate_session
from chirp.middleware.sessions.redis_node import unavailable
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import Reply, Step

Handler = Callable[[Session], object]

CHANGES: dict[str, Handler] = {
    "change": lambda session: session.update(b=2),
    "remove": lambda session: session.pop("a"),
    "logout": Session.clear,
    "regenerate": lambda session: regenerate_session(),
    "login": lambda session: regenerate_session().update(user_id=7),
    "rotate": lambda session: session.update(user_id=7),
}
ENDS = ("logout", "regenerate", "login")


@pytest.fixture
async def client(server: OwnServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def store(make_store: MakeStore, server: OwnServer) -> RedisSessionStore:
    return make_store(server.url)


Limited = Callable[..., Awaitable[RedisSessionStore]]


@pytest.fixture
def limited(make_store: MakeStore, server: OwnServer, client: Redis) -> Limited:
    """Make a store whose user has these permissions only, besides those on all keys."""

    async def make(*rules: str, **options: int) -> RedisSessionStore:
        await client.execute_command("ACL", "SETUSER", "app", "on", "nopass", "~*", *rules)
        return make_store(server.url.replace("redis://", "redis://app:any@"), **options)

    return make


async def snapshot(client: Redis, prefix: str) -> dict[bytes, bytes | None]:
    return {key: await client.get(key) for key in await client.keys(f"{prefix}*")}


@pytest.mark.parametrize("step", ["change", "rotate"])
async def test_without_memory_a_change_is_unavailable_and_nothing_is_written(
    store: RedisSessionStore, client: Redis, step: str
) -> None:
    """A write that does not fit into the server's memory leaves the session as it was, and that can be read."""
    cookie = await put(store, a=1)
    before = await snapshot(client, store.key_prefix)
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="OutOfMemory"):
        await visit(store, cookie, CHANGES[step])
    assert await snapshot(client, store.key_prefix) == before
    assert await read(store, cookie) == {"a": 1}


async def test_without_memory_a_create_is_unavailable(store: RedisSessionStore, client: Redis) -> None:
    """A first visit that cannot be stored is an error, and no cookie leads nowhere."""
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await put(store, a=1)
    assert await client.dbsize() == 0


@pytest.mark.parametrize("step", ENDS)
async def test_without_memory_the_old_id_dies_and_the_request_is_told(
    store: RedisSessionStore, client: Redis, step: str
) -> None:
    """A logout must not wait for memory: the document is deleted plainly, and then comes the error."""
    cookie = await put(store, a=1)
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await visit(store, cookie, CHANGES[step])
    assert await client.get(store.key_for(cookie)) is None


async def test_without_memory_a_logout_after_a_rotation_ends_the_successor(
    store: RedisSessionStore, client: Redis
) -> None:
    """A request that loaded the session before another one rotated it still logs the user out."""
    cookie = await put(store, a=1)
    leaving = await store.open(cookie, https=True)
    leaving.clear()
    fresh = await put(store, cookie, user_id=7)
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await commit(store, leaving)
    assert await client.get(store.key_for(fresh)) is None


async def test_with_memory_again_the_sessions_go_on(store: RedisSessionStore, client: Redis) -> None:
    """The refusal leaves connections and batches in order."""
    cookie = await put(store, a=1)
    await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await put(store, cookie, b=2)
    await client.config_set("maxmemory", 0)
    await put(store, cookie, b=2)
    assert await read(store, cookie) == {"a": 1, "b": 2}


@pytest.mark.parametrize("step", CHANGES)
@pytest.mark.parametrize("denied", ["get", "set", "del", "evalsha", "eval", "multi", "exec"])
async def test_a_denied_command_is_told_or_not_needed_and_never_leaves_half(
    limited: Limited, store: RedisSessionStore, client: Redis, denied: str, step: str
) -> None:
    """With each command denied in turn, a step either succeeds or raises and leaves the old session as it was."""
    if denied != "eval":  # else the scripts are cached, as they soon are, and need no EVAL
        for handler in CHANGES.values():
            await visit(store, await put(store, a=1), handler)
    cookie = await put(store, a=1)
    key = store.key_for(cookie)
    before, keys = await client.get(key), {each async for each in client.scan_iter(match=f"{store.key_prefix}*")}
    result = (
        await asyncio.gather(visit(await limited("+@all", f"-{denied}"), cookie, CHANGES[step]), return_exceptions=True)
    )[0]
    if isinstance(result, Visit):
        assert await client.get(key) != before
        assert result.session.id is None or await read(store, result.session.id) == dict(result.session)
    else:
        assert isinstance(result, StoreUnavailable)
        assert await client.get(key) == before
        assert {each async for each in client.scan_iter(match=f"{store.key_prefix}*")} <= keys


@pytest.mark.parametrize(
    ("denied", "step"), [("mget", "change"), ("set", "change"), ("evalsha", "change"), ("del", "remove")]
)
async def test_a_denied_command_is_unavailable_where_it_is_needed(
    limited: Limited, store: RedisSessionStore, denied: str, step: str
) -> None:
    """A missing permission is a StoreUnavailable that says so, in a load as in a change."""
    cookie = await put(store, a=1)
    with pytest.raises(StoreUnavailable, match=r"permission|can't run"):
        await visit(await limited("+@all", f"-{denied}"), cookie, CHANGES[step])


async def test_a_denied_command_does_not_spoil_the_connection(limited: Limited, store: RedisSessionStore) -> None:
    """A transaction that may not be executed is left, so that the next request on the connection is answered."""
    cookie = await put(store, a=1)
    denied = await limited("+@all", "-exec", max_connections=1)
    with pytest.raises(StoreUnavailable):
        await visit(denied, cookie, CHANGES["login"])
    assert await read(denied, cookie) == {"a": 1}


async def test_a_few_commands_on_its_own_keys_are_enough(limited: Limited, key_prefix: str, client: Redis) -> None:
    """A user with nothing but the commands that the store sends can do all of it."""
    documents = ("mget", "get", "set", "del", "eval", "evalsha", "multi", "exec", "select")
    indexes = ("zadd", "zrem", "zrange", "zremrangebyscore", "pttl", "pexpire")
    at_the_start = ("client|setinfo",) if await knows_setinfo(client) else ()
    names = (*documents, *indexes, *at_the_start)
    store = await limited("resetkeys", f"~{key_prefix}*", *(f"+{name}" for name in names))
    for handler in CHANGES.values():
        await visit(store, await put(store, a=1), handler)
    await put(store, user_id=8)
    assert await store.revoke_user(8) == 1


async def knows_setinfo(client: Redis) -> bool:
    """Tell whether the server has the command; Redis before 7.2 refuses a rule that names it."""
    version = (await client.info("server"))["redis_version"]
    return tuple(map(int, version.split(".")[:2])) >= (7, 2)


async def test_a_replica_can_be_read_and_refuses_writes(
    store: RedisSessionStore, server: OwnServer, own_server: Callable[..., OwnServer], client: Redis
) -> None:
    """On a read-only replica loads work; every write is an error that changes nothing."""
    cookie = await put(store, a=1)
    primary = own_server()
    before = await snapshot(client, store.key_prefix)
    host, _, port = primary.url.removeprefix("redis://").removesuffix("/0").partition(":")
    # What it would copy is empty, so it is told to follow a server that does not let it in.
    await client.config_set("masterauth", "wrong")
    await client.execute_command("REPLICAOF", host, str(int(port)))
    for handler in CHANGES.values():
        with pytest.raises(StoreUnavailable, match=r"(?i)read.?only"):
            await visit(store, cookie, handler)
    with pytest.raises(StoreUnavailable):
        await put(store, a=1)
    assert await snapshot(client, store.key_prefix) == before
    assert await read(store, cookie) == {"a": 1}


@pytest.mark.parametrize("step", CHANGES)
async def test_after_a_failover_the_next_write_finds_the_new_primary(
    make_store: MakeStore, server: OwnServer, own_server: Callable[..., OwnServer], step: str
) -> None:
    """A connection on which a write was refused as read-only is dropped, since the address leads elsewhere by now."""
    async with proxied(server.url) as proxy, Redis.from_url(server.url) as old:
        store = make_store(proxy.url, max_connections=1)
        cookie = await put(store, a=1)
        session = await store.open(cookie, https=True)
        primary = own_server()
        async with Redis.from_url(primary.url) as new:
            await new.restore(store.key_for(cookie), 0, await old.dump(store.key_for(cookie)) or b"")
        await old.config_set("masterauth", "wrong")
        proxy.port = int(primary.url.rpartition(":")[2].removesuffix("/0"))
        await old.execute_command("REPLICAOF", "127.0.0.1", str(proxy.port))
        with pytest.raises(StoreUnavailable):
            await visit(store, cookie, CHANGES[step])
        session["c"] = 3
        await commit(store, session)
        assert await read(store, cookie) == {"a": 1, "c": 3}
        await store.aclose()


async def test_a_rotation_refused_in_its_second_round_leaves_no_copy(
    limited: Limited, store: RedisSessionStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its first round had put under the new id is taken back, and the session is as another request left it."""
    cookie = await put(store, a=1)
    app = await limited("+@all")
    rotating = await app.open(cookie, https=True)
    rotating["user_id"] = 7
    await put(store, cookie, b=2)  # so the first round loses its compare
    before = await snapshot(client, store.key_prefix)
    run, rounds = app._run, []

    async def counted(steps: Sequence[Step]) -> list[Reply]:
        if rounds:
            await client.execute_command("ACL", "SETUSER", "app", "-mget")  # its scripts read no more
        rounds.append(steps)
        return await run(steps)

    monkeypatch.setattr(app, "_run", counted)
    with pytest.raises(StoreUnavailable, match=r"permission|can't run"):
        await commit(app, rotating)
    assert len(rounds) == 2
    assert await snapshot(client, store.key_prefix) == before


def test_a_refusal_that_quotes_arguments_is_told_without_them() -> None:
    """Redis says what it was sent when it does not know a command; that may be the user's data."""
    error = unavailable(ResponseError("unknown command 'SET', with args beginning with: 'key' '{\"card\": 4111}'"))
    assert "unknown command 'SET'" in str(error)
    assert "4111" not in str(error)


def test_a_refusal_is_told_in_one_readable_line() -> None:
    """Whatever a server, or something between, puts into it: no terminal and no log obeys it, and it has an end."""
    error = unavailable(ResponseError("no\n2026 ERROR forged\x1b[2J\x7f\x9b\u2028" + "x" * 1000))
    assert str(error).startswith(r"Redis did not do it: ResponseError: no\n2026 ERROR forged\x1b[2J\x7f\x9b\u2028xx")
    assert len(str(error)) < 600
