"""The randomised twin of the directory's interleavings: users are revoked and listed while their requests go on.

As in `test_random_races`, each request is made by a store of its own and pauses for a random while between load and
save, and many rounds are under way at the same time. Each round has a user of its own.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from visits import CONFIG, MakeStore, commit, handle, put, read

from chirp.middleware.sessions import RedisSessionStore, regenerate_session, rotate_session
from chirp.middleware.sessions.session import Session
from chirp.testing import ManualClock

ROUNDS, AT_ONCE = 1000, 50
MOST_YIELDS = 6
Handler = Callable[[Session], Any]


def sign_in_again(session: Session) -> None:
    """Take the place of the session that was there."""
    user = session.get("user_id")
    regenerate_session().update(user_id=user, login=True)


BESIDE: dict[str, Handler] = {
    "save": lambda session: session.update(a=1),
    "touch": lambda session: None,
    "rotate": lambda session: rotate_session(),
    "renew": lambda session: rotate_session(follow=True),
    "login": sign_in_again,
    "remember": lambda session: session.set_lifetime(86_400 * 30),
}
# What ends a listed session and leaves another, or none, in its place.
ENDS = ("login",)


async def yield_a_little() -> None:
    for _ in range(random.randrange(MOST_YIELDS)):
        await asyncio.sleep(0)


@pytest.fixture
def stores(make_store: MakeStore) -> list[RedisSessionStore]:
    """The second one's requests come when a touch is due."""
    clocks = [ManualClock(), ManualClock(), ManualClock()]
    clocks[1].now += 1000
    return [make_store(config=CONFIG, clock=clock) for clock in clocks]


async def take_part(store: RedisSessionStore, cookie: str, handler: Handler) -> str | None:
    """Make one request; return the id that its session has afterwards."""
    await yield_a_little()
    session = await store.open(cookie, https=True)
    handle(session, handler)
    await yield_a_little()
    await commit(store, session)
    return session.id


@pytest.mark.parametrize("kind", BESIDE)
async def test_no_round_revives_what_was_revoked(kind: str, stores: list[RedisSessionStore]) -> None:
    """Promise 5: of the session that stood there when its user was revoked nothing is left, under no id."""
    store, requesting, revoking = stores

    async def play(user: int) -> bool:
        cookie = await put(store, user_id=user, a=0)

        async def revoke() -> None:
            await yield_a_little()
            await revoking.revoke_user(user)

        last, _ = await asyncio.gather(take_part(requesting, cookie, BESIDE[kind]), revoke())
        left = [await store.read_data(info) or {} for info in await store.list_sessions(user)]
        left += [session for each in (cookie, last) if (session := await read(store, each or ""))]
        # A login that was stored after the revocation is another session, and stays.
        return all(data.get("login") for data in left)

    for start in range(0, ROUNDS, AT_ONCE):
        assert all(await asyncio.gather(*(play(start + number) for number in range(AT_ONCE))))


@pytest.mark.parametrize("kind", BESIDE)
async def test_no_listing_misses_a_session_that_lives(kind: str, stores: list[RedisSessionStore]) -> None:
    """It is listed once, whatever its request does meanwhile, and afterwards under the id that it has then."""
    store, requesting, listing = stores

    async def play(user: int) -> None:
        cookie = await put(store, user_id=user, a=0)
        (before,) = await store.list_sessions(user)

        async def listed() -> list[str]:
            await yield_a_little()
            return [info.handle for info in await listing.list_sessions(user)]

        last, seen = await asyncio.gather(take_part(requesting, cookie, BESIDE[kind]), listed())
        (after,) = await store.list_sessions(user)
        assert after.key == store.key_for(last or "")
        assert len(seen) == len(set(seen)) >= 1
        assert seen == [before.handle] or kind in ENDS

    for start in range(0, ROUNDS, AT_ONCE):
        await asyncio.gather(*(play(start + number) for number in range(AT_ONCE)))
