"""Very many sessions on one server, stored quickly: by the steps that a login takes, thousands in each round trip."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

from chirp.middleware.sessions import RedisSessionStore, SessionConfig, session_id
from chirp.middleware.sessions.codec import encode_data
from chirp.middleware.sessions.redis_steps import commands_for
from chirp.middleware.sessions.redis_wire import Command
from chirp.middleware.sessions.steps import Create

CONFIG = SessionConfig(secret_key="for tests alone, and long enough", max_age=30 * 86400)
AT_ONCE = 5000


def logins(store: RedisSessionStore, sessions: int, users: int, now: float) -> Iterator[Command]:
    """Yield the commands that store so many sessions; every tenth has no user, the others are shared out evenly.

    Users are numbers from 0. When sessions began, how large they are and when they were last seen differs.
    """
    chance = random.Random(5)
    signed_in = itertools.cycle(range(users))
    for number in range(sessions):
        data: dict[str, Any] = {"cart": ["x" * 40] * chance.randrange(1, 20)}
        if number % 10:
            data["user_id"] = next(signed_in)
        session = store._start(data)
        session._handle = session_id.mint_handle()
        key = store.key_for(session_id.mint())
        created_at = now - chance.uniform(0, 20 * 86400)
        seen_at = chance.uniform(created_at, now)
        document, ttl_ms = store._make_document(session, encode_data(data), seen_at, created_at=created_at)
        for step in (
            *store._enlisting(session, key, seen_at, ttl_ms),
            Create(key, document, ttl_ms),
        ):
            yield from commands_for([step], again=False)


async def fill(url: str, prefix: str, sessions: int, users: int) -> None:
    """Store so many sessions on a node, as `logins` makes them."""
    store = RedisSessionStore(CONFIG, url, prefix, timeout_seconds=30)
    await store._run(store._enlisting(store._start({"user_id": 0}), "0" * 64, 0.0, 1))  # for its script
    node = store._nodes.get()
    waiting: list[Command] = []
    for command in logins(store, sessions, users, store.clock()):
        waiting.append(command)
        if len(waiting) == AT_ONCE:
            await node._link.exchange(waiting, list)
            waiting.clear()
    if waiting:
        await node._link.exchange(waiting, list)
    await store.aclose()
