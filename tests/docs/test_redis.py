"""docs/how-to/redis.md is executed: each of its programs reaches the server that the text around it is about."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_kit import app_with, visits
from programs import Document
from redis import Redis
from servers import OwnServer
from typer.testing import CliRunner
from visits import put, read, visit

from benchmarks.cluster import RunningCluster
from chirp import (
    RedisSessionStore,
    SessionConfig,
    checks,
    regenerate_session,
    rotate_session,
)
from chirp.checks.examine import examine
from chirp.checks.finding import Severity
from chirp.checks.permissions import Use, needed
from chirp.commands import commands
from chirp.middleware.sessions.session import Session

PAGE = Document("docs/how-to/redis.md")


@pytest.fixture
def server(own_server: Callable[..., OwnServer]) -> OwnServer:
    """The programs use the default prefix, so they get a server that nobody else uses."""
    return own_server()


def connections_of(server: OwnServer) -> int:
    """Return how many the server has, without the one that asks."""
    with Redis.from_url(server.url) as client:
        return len(client.client_list()) - 1


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_url_program(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the server, and leaves no connection."""
    monkeypatch.setenv("REDIS_URL", server.url)
    assert visits(app_with(PAGE.run("url"))) == [2] * 10
    assert connections_of(server) == 0


def test_the_client_program(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches the server, and leaves no connection."""
    monkeypatch.setenv("REDIS_URL", server.url)
    assert visits(app_with(PAGE.run("client"))) == [2] * 10
    assert connections_of(server) == 0


def test_the_pool_program(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store and handler share the pool, which the app closes."""
    monkeypatch.setenv("REDIS_URL", server.url)
    assert visits(PAGE.run("pool")["app"]) == [2] * 10
    assert connections_of(server) == 0


def acl(name: str) -> list[str]:
    """Return the words of an ACL that the page shows."""
    shown = re.search(rf"<!-- acl: {name} -->\n```\n(.*)\n```", PAGE.text)
    assert shown is not None
    return shown[1].split(" ")


async def live(store: RedisSessionStore) -> None:
    """Do all that sessions do, from the first request to the logout."""
    first = await put(store, a=1)
    await put(store, first, b=2)
    second = (await visit(store, first, lambda session: rotate_session())).session.id
    third = (await visit(store, second, lambda session: regenerate_session().update(c=3))).session.id
    assert third is not None
    assert await read(store, third) == {"c": 3}
    await visit(store, third, Session.clear)
    assert await read(store, third) == {}
    await store.aclose()


def test_the_acl_of_a_node_is_enough(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may do no more than the page says has sessions."""
    with Redis.from_url(server.url) as client:
        client.execute_command(*acl("node"))
    monkeypatch.setenv("REDIS_URL", server.url.replace("redis://", "redis://shop:password@"))
    asyncio.run(live(PAGE.run("url")["store"]))


def test_the_acl_of_a_cluster_is_enough(redis_cluster: RunningCluster) -> None:
    """A user who may do no more than the page says has sessions, also while a slot is on its way."""
    for node in redis_cluster.nodes:
        node.command(*acl("cluster"))
    config = SessionConfig(secret_key="for tests alone, and long enough")

    def client() -> Any:
        return redis_cluster.client(username="shop", password="password")

    async def live_while_a_slot_moves(key_prefix: str) -> None:
        await live(RedisSessionStore(config, key_prefix=key_prefix, client=client))
        source, target = redis_cluster.begin_to_move(key_prefix)
        try:
            await live(RedisSessionStore(config, key_prefix=key_prefix, client=client))
        finally:
            redis_cluster.finish_move(key_prefix, source, target)

    asked = sum(node.calls("asking") for node in redis_cluster.nodes)
    asyncio.run(live_while_a_slot_moves("chirp:session:{one slot}"))
    assert sum(node.calls("asking") for node in redis_cluster.nodes) > asked


@pytest.mark.parametrize("name", ["node", "cluster"])
def test_a_check_finds_no_right_missing_in_the_acl(name: str, server: OwnServer, redis_cluster: RunningCluster) -> None:
    """What `chirp check` tries is what the page says; only looking through all sessions needs more."""
    for url in [server.url] if name == "node" else [node.url for node in redis_cluster.nodes]:
        with Redis.from_url(url) as client:
            client.execute_command(*acl(name))
    found = examine(url.replace("redis://", "redis://shop:password@"), "chirp:session:")
    assert not [each for each in found if each.severity is Severity.ERROR]
    assert {each.found for each in found if each.check == "permissions"} == {"the user may not call DBSIZE, SCAN"}


@pytest.mark.parametrize("name", ["node", "cluster"])
def test_a_check_tries_each_right_of_the_acl(name: str) -> None:
    """And no other, but for what the command line needs."""
    tried = needed(cluster=name == "cluster", database=0)
    shown = {word for word in acl(name) if word.startswith("+")}
    assert {each.rule for each in tried if each.use is not Use.COMMAND_LINE} == shown


def test_each_check_is_in_the_table() -> None:
    """By the name that programs read, and no other is."""
    table = PAGE.text.partition("| check | an error |")[2].partition("\n\n")[0]
    sources = "".join(path.read_text("utf-8") for path in Path(checks.__path__[0]).glob("*.py"))
    made = set(re.findall(r'(?:Finding|ok)\(\s*"([a-z-]+)"', sources))
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == made


def test_the_json_of_a_check(server: OwnServer) -> None:
    """The page shows what the command prints, of a server that keeps nothing on disk."""
    block = re.search(r"<!-- json: check -->\n```json\n(.*?)```", PAGE.text, re.DOTALL)
    assert block is not None
    shown = json.loads(block[1])
    printed = json.loads(CliRunner().invoke(commands, ["check", "--json", "--redis", server.url]).stdout)
    address = server.url.removeprefix("redis://").removesuffix("/0")
    shown["address"] = shown["findings"][0]["node"] = address
    assert printed | {"findings": printed["findings"][:1]} == shown
