"""`chirp sessions` on many sessions: what it sends, and what it keeps.

`python tests/million.py` does the same with a million.
"""

import asyncio
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest
from command_kit import run
from flood import commands_of
from many_sessions import CONFIG, fill
from redis import Redis
from servers import program_on_path

from chirp.embedded import EmbeddedServer
from chirp.middleware.sessions import RedisSessionStore
from chirp.operations.listing import listed
from chirp.operations.stats import Stats, take

PREFIX = "chirp:session:"
SESSIONS, USERS = 20_000, 2000
EACH = SESSIONS * 9 // 10 // USERS
MOST_BYTES = 3 * 2**20  # twenty thousand of anything take more


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedServer(binary=program_on_path()) as server:
        asyncio.run(fill(server.url, PREFIX, SESSIONS, USERS))
        yield server.url


def sent(url: str, *arguments: str) -> Counter[str]:
    """Run a command; return how often it had the server do what."""
    with Redis.from_url(url, decode_responses=True) as client:
        before = commands_of(client)
        assert run(*arguments, "--redis", url).code == 0
        return commands_of(client) - before


def test_all_are_counted(url: str) -> None:
    """Each of them once, and each user."""
    found = json.loads(run("stats", "--json", "--redis", url).out)
    assert (found["sessions"], found["without_user"], found["users"]) == (SESSIONS, SESSIONS // 10, USERS)


def test_all_are_listed(url: str) -> None:
    """Each of them once: the store does not change meanwhile."""
    rows = run("list", "--json", "--redis", url).out.splitlines()
    assert len(rows) == len({json.loads(row)["handle"] for row in rows}) == SESSIONS


@pytest.mark.parametrize("command", ["stats", "list"])
def test_nothing_blocks_the_server(url: str, command: str) -> None:
    """Keys are looked through a thousand at a time, and never with KEYS."""
    counts = sent(url, command)
    assert "keys" not in counts
    assert SESSIONS / 1000 <= counts["scan"] <= 4 * SESSIONS / 1000
    assert counts["get"] == SESSIONS


def test_statistics_keep_no_sessions(url: str) -> None:
    """The memory that they take is that of a piece, and of a few figures."""
    assert peak(look_through(url)) < MOST_BYTES


def test_a_list_keeps_no_sessions(url: str) -> None:
    """What was printed is forgotten."""
    assert peak(list_all(url)) < MOST_BYTES


async def look_through(url: str) -> None:
    store = RedisSessionStore(CONFIG, url, PREFIX)
    assert isinstance(await take(store, lambda _: None), Stats)
    await store.aclose()


async def list_all(url: str) -> None:
    store = RedisSessionStore(CONFIG, url, PREFIX)
    assert sum([len(rows) async for rows in listed(store, [], lambda _: None)]) == SESSIONS
    await store.aclose()


def peak(work: object) -> int:
    """Return the bytes that Python's objects take at most, beyond those that were there."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        asyncio.run(work)  # type: ignore[arg-type]
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_the_end_of_a_users_sessions_costs_nothing_for_those_of_others(url: str) -> None:
    """A few commands for each of their own, however many there are."""
    sent(url, "revoke-user", "6", "--yes")  # the server knows the script from there on
    counts = sent(url, "revoke-user", "7", "--yes")
    assert counts["zrem"] == 1  # for all of them together
    assert "scan" not in counts
    assert counts.total() < 10 * EACH + 30
