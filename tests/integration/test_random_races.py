"""The randomised twins of the forced races: thousands of rounds on a real server, in whatever order they happen.

Each request is made by a store of its own, as in a process of its own, and pauses for a random while between load and
save. Many rounds, each with a session of its own, are under way at the same time, so the stores' batches mix as well.
"""

import asyncio
import random

import pytest
from race_rules import CONFIG, KINDS, NOW, OLD, Done, document, expired, request, violations
from redis.asyncio import Redis
from stepped import EXPIRE
from visits import MakeStore

from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.session_id import hash_id, mint
from chirp.testing import ManualClock, Run

ROUNDS, AT_ONCE = 2000, 50
MOST_YIELDS = 6
RACES = [
    ("clear", "save"),
    ("logout", "save", "touch"),
    ("rotate", "save"),
    ("rotate", "rotate+save"),
    ("renew", "renew+save", "save"),
    ("revoke", "rotate"),
    ("revoke", "renew", "save"),
    ("login", "touch", "touch"),
    ("login", "save", "save2"),
    ("login", "user change"),
    ("expire", "save", "rotate"),
    ("pop", "save", "touch+save"),
    ("remember", "save", "touch+save"),
    ("remember", "rotate", "touch"),
]


async def yield_a_little() -> None:
    for _ in range(random.randrange(MOST_YIELDS)):
        await asyncio.sleep(0)


@pytest.fixture
def stores(make_store: MakeStore) -> list[RedisSessionStore]:
    return [make_store(config=CONFIG, clock=ManualClock(NOW)) for _ in range(3)]


async def play(kinds: tuple[str, ...], stores: list[RedisSessionStore], client: Redis) -> list[str]:
    """Play one round; return what is wrong after it."""
    presented, prefix = mint(), stores[0].key_prefix
    key = prefix + hash_id(presented)
    await client.set(key, document(OLD), px=60_000)

    async def expire() -> Done:
        await yield_a_little()
        await client.execute_command("EVAL", EXPIRE, 1, key)
        return expired()

    async def take_part(kind: str, store: RedisSessionStore) -> Done:
        await yield_a_little()
        return await (expire() if kind == "expire" else request(kind, store, presented, yield_a_little))

    done = await asyncio.gather(
        *(take_part(kind, store) for kind, store in zip(kinds, stores, strict=False)), return_exceptions=True
    )
    keys = [key, *(prefix + hash_id(each.cookie) for each in done if isinstance(each, Done) and each.cookie)]
    stored = dict(zip(keys, await client.mget(keys), strict=True))
    return list(violations(Run((), done), {name: value for name, value in stored.items() if value}, presented, prefix))


@pytest.mark.parametrize("kinds", RACES, ids=" | ".join)
async def test_no_round_breaks_a_promise(
    kinds: tuple[str, ...], stores: list[RedisSessionStore], redis_client: Redis
) -> None:
    """Promises 3 to 7, where nobody decides the order."""
    for kind, store in zip(kinds, stores, strict=False):
        store.clock.now += KINDS[kind].seconds  # type: ignore[attr-defined]
    for _ in range(ROUNDS // AT_ONCE):
        wrong = await asyncio.gather(*(play(kinds, stores, redis_client) for _ in range(AT_ONCE)))
        assert not any(wrong), next(filter(None, wrong))


async def test_no_round_of_fifty_writers_loses_one(stores: list[RedisSessionStore], redis_client: Redis) -> None:
    """Of different keys all are kept, and of one key the value is one that somebody wrote (promise 3)."""
    for _ in range(20):
        presented = mint()
        key = stores[0].key_prefix + hash_id(presented)
        await redis_client.set(key, document(OLD), px=60_000)

        async def write(number: int, cookie: str = presented) -> None:
            store = stores[number % len(stores)]
            session = await store.open(cookie, https=True)
            await yield_a_little()
            session.update({f"k{number}": number, "same": number})
            await store.commit(session, store.clock())

        await asyncio.gather(*(write(number) for number in range(50)))
        found = await stores[0].open(presented, https=True)
        assert {f"k{number}": number for number in range(50)}.items() <= found.items()
        assert found["same"] in range(50)


@pytest.mark.parametrize("cookie", [None, "u" * 43], ids=["no cookie", "an unknown id"])
async def test_no_round_of_first_visits_mixes_sessions(stores: list[RedisSessionStore], cookie: str | None) -> None:
    """Each gets a session of its own, whatever id came."""

    async def first_visit(number: int) -> tuple[int, str | None]:
        store = stores[number % len(stores)]
        session = await store.open(cookie, https=True)
        await yield_a_little()
        session["number"] = number
        await store.commit(session, store.clock())
        return number, session.id

    for _ in range(ROUNDS // AT_ONCE):
        visits = await asyncio.gather(*(first_visit(number) for number in range(AT_ONCE)))
        assert len({session_id for _, session_id in visits}) == AT_ONCE
        for number, session_id in visits:
            assert session_id is not None
            assert dict(await stores[0].open(session_id, https=True)) == {"number": number}
