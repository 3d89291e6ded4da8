"""`chirp sessions` however a server is reached, and what is said of one that cannot be asked."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from command_kit import Said, run
from demo_site import silent_listener
from many_sessions import fill
from proxy import proxied
from redis import Redis
from servers import OwnServer, StartServer, program_on_path, with_user
from visits import CONFIG, put, read

from benchmarks.cluster import RunningCluster
from benchmarks.sentinel import watched
from chirp.middleware.sessions import RedisSessionStore
from chirp.operations.place import ENDING, LOOKING

PASSWORD = "s3cret-word"
COMMANDS: list[tuple[str, ...]] = [
    ("stats",),
    ("list",),
    ("show", "a-handle"),
    ("revoke", "a-handle", "--yes"),
    ("revoke-user", "5", "--yes"),
]


async def at(url: str, prefix: str, *arguments: str) -> Said:
    """Run the command beside this event loop."""
    return await asyncio.to_thread(run, *arguments, "--redis", url, "--prefix", prefix)


async def goes_through(url: str, prefix: str, store: RedisSessionStore) -> None:
    """Count, list, show and end sessions."""
    cookies = [await put(store, user_id=number % 3) for number in range(30)]
    assert json.loads((await at(url, prefix, "stats", "--json")).out)["sessions"] == 30
    rows = [json.loads(line) for line in (await at(url, prefix, "list", "--json")).out.splitlines()]
    assert sorted(row["user_id"] for row in rows) == sorted(number % 3 for number in range(30))
    assert all(row["last_seen_at"] < row["expires_at"] for row in rows)
    zero = next(row["handle"] for row in rows if row["user_id"] == 0)
    assert (await at(url, prefix, "show", zero)).code == 0
    assert (await at(url, prefix, "revoke", zero, "--yes")).out == "Ended 1 session.\n"
    assert (await at(url, prefix, "revoke-user", "1", "--yes")).out.endswith("10 sessions of user 1.\n")
    assert sum([bool(await read(store, cookie)) for cookie in cookies]) == 19


@pytest.fixture
async def cluster_store(redis_cluster: RunningCluster, key_prefix: str) -> AsyncIterator[RedisSessionStore]:
    store = RedisSessionStore(CONFIG, key_prefix=key_prefix, client=redis_cluster.client)
    yield store
    await store.aclose()


async def test_a_cluster(redis_cluster: RunningCluster, key_prefix: str, cluster_store: RedisSessionStore) -> None:
    """Any node's URL is enough, and all of its primaries are looked through."""
    url = f"redis://127.0.0.1:{redis_cluster.nodes[1].port}/0"
    await goes_through(url, key_prefix, cluster_store)
    servers = json.loads((await at(url, key_prefix, "stats", "--json")).out)["servers"]
    assert {each["address"] for each in servers} == {f"127.0.0.1:{node.port}" for node in redis_cluster.nodes}


async def test_a_slot_that_is_on_its_way(
    redis_cluster: RunningCluster, key_prefix: str, cluster_store: RedisSessionStore
) -> None:
    """Its sessions are asked for where they are."""
    prefix = f"{key_prefix}{{one slot}}"
    store = RedisSessionStore(CONFIG, key_prefix=prefix, client=redis_cluster.client)
    await put(store, user_id=5)
    source, target = redis_cluster.begin_to_move(prefix)
    try:
        await put(store, user_id=5)
        url = f"redis://127.0.0.1:{redis_cluster.nodes[0].port}"
        rows = (await at(url, prefix, "list", "--json")).out.splitlines()
        assert [json.loads(row)["user_id"] for row in rows] == [5, 5]
        assert (await at(url, prefix, "revoke-user", "5", "--yes")).out.endswith("2 sessions of user 5.\n")
    finally:
        redis_cluster.finish_move(prefix, source, target)
        await store.aclose()


async def test_tls(redis_url: str, key_prefix: str, tmp_path: Path) -> None:
    """A rediss:// URL, with redis-py's options."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    store = RedisSessionStore(CONFIG, redis_url, key_prefix)
    async with proxied(redis_url, tls=context) as proxy:
        await goes_through(f"{proxy.url}?ssl_ca_certs={tmp_path}/authority.pem", key_prefix, store)
        said = await at(proxy.url, key_prefix, "stats")
    await store.aclose()
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 1)
    assert "its certificate is not accepted" in said.err


async def test_a_socket_in_the_file_system(own_server: StartServer, tmp_path: Path) -> None:
    """unix:// as the store has it."""
    own_server("--unixsocket", f"{tmp_path}/s")
    store = RedisSessionStore(CONFIG, f"unix://{tmp_path}/s", "a:")
    await goes_through(f"unix://{tmp_path}/s", "a:", store)
    await store.aclose()


async def test_the_rights_that_are_told_are_enough(server: OwnServer) -> None:
    """To look at sessions, and to end them."""
    store = RedisSessionStore(CONFIG, server.url, "a:")
    await goes_through(with_user(server, "~a:*", *LOOKING.split(), *ENDING.split()), "a:", store)
    await put(store, user_id=5)
    url = with_user(server, "~a:*", *LOOKING.split())
    looked = [(await at(url, "a:", *command)).code for command in (("stats",), ("list",), ("list", "--user", "5"))]
    assert looked == [0, 0, 0]
    said = await at(url, "a:", "revoke-user", "5", "--yes")
    assert (said.code, ENDING in said.err, "sessions may go on, so run it again" in said.err) == (2, True, True)
    await store.aclose()


async def test_progress_is_not_worth_a_right(server: OwnServer) -> None:
    """Who may not count the keys may count the sessions."""
    await fill(server.url, "a:", 3000, 10)
    url = with_user(server, "~a:*", *LOOKING.split(), "-dbsize")
    assert json.loads((await at(url, "a:", "stats", "--json")).out)["sessions"] == 3000


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_right_that_is_missing_is_named(server: OwnServer, command: tuple[str, ...]) -> None:
    """In one line, with what gives it."""
    url = with_user(server, "~other:*", "+ping")
    said = run(*command, "--redis", url)
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 1)
    assert f"ACL SETUSER <user> {LOOKING} " in said.err
    assert (urlsplit(url).password or "") not in said.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_server_that_does_not_answer_is_named(command: tuple[str, ...]) -> None:
    """In one line without the password, and no traceback."""
    with silent_listener() as listener:
        port = listener.getsockname()[1]
    said = run(*command, CHIRP_REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
    expected = f"chirp sessions {command[0]}: Redis at 127.0.0.1:{port} does not answer: Connection refused\n"
    assert said == Said(2, "", expected)


def test_a_wrong_password_is_told(server: OwnServer) -> None:
    """And not repeated."""
    url = server.url.replace("redis://", "redis://default:wr0ng-word@")
    with Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "default", "resetpass", ">another-word")
    said = run("stats", "--redis", url)
    assert (said.code, "refuses the user name or password in the URL" in said.err) == (2, True)
    assert "wr0ng-word" not in said.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--redis", "http://localhost"), "not a URL such as redis://localhost:6379/0"),
        (("--prefix", ""), "key_prefix=''"),
        (("--user-key", ""), "user_key=''"),
        (("--created-at-key", "data"), "created_at_key='data'"),
    ],
)
def test_an_option_that_cannot_work_is_refused(redis_url: str, options: tuple[str, str], told: str) -> None:
    """With the value and what it has to be."""
    said = run("stats", *(() if options[0] == "--redis" else ("--redis", redis_url)), *options)
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 1)
    assert told in said.err


def test_a_database_that_is_not_there_is_told(server: OwnServer) -> None:
    """In the server's words."""
    said = run("stats", "--redis", f"{server.url.removesuffix('0')}99")
    assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 1)
    assert "DB index is out of range" in said.err


def test_a_sentinel_is_no_server_of_sessions() -> None:
    """It is said how to find the one that is."""
    with watched(binary=program_on_path()) as sentinels:
        host, port = sentinels.addresses[0]
        said = run("stats", "--redis", f"redis://{host}:{port}")
    assert (said.code, "SENTINEL GET-MASTER-ADDR-BY-NAME" in said.err) == (2, True)


def test_a_server_that_dies_meanwhile_is_told(server: OwnServer) -> None:
    """It is one line, and nothing is taken for the whole."""
    address = urlsplit(server.url)
    server.kill()
    said = run("list", "--redis", server.url)
    assert (said.code, said.out, f"{address.hostname}:{address.port}" in said.err) == (2, "", True)
