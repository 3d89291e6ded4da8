"""A user's sessions are listed and revoked while requests go on: every order of all round trips, those for indexes too.

After each single step, every live session stands in its user's index: there is no moment at which one is missing.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from race_rules import KINDS, NOW, OLD, PRESENTED, WORLDS, codec, key_of, operation
from stepped import PREFIX, SteppedStore, World

from chirp.middleware.sessions.codec import encode_user
from chirp.middleware.sessions.user_index import Member, index_key, read_member, write_member
from chirp.testing import Run, Turn, explore
from chirp.testing.interleavings import Operation

HANDLE = "handle-of-16-chr"
ALICE = index_key(PREFIX, encode_user(OLD["user_id"]) or b"")
BESIDE = [kind for kind in KINDS if kind not in ("save2", "login2", "expire", "revoke")]
# A listing may miss nothing that lives all the time. These end the session, or give it another user.
MAY_BE_MISSED = ("clear", "logout", "user change")


def unlisted(world: World) -> Iterator[str]:
    """Yield the keys of live sessions that are missing from their user's index."""
    indexes = world.indexes()
    for key, value in world.values().items():
        envelope = codec.decode(value)
        user = encode_user(envelope.data.get("user_id")) if envelope is not None else None
        if user is None:
            continue
        members = map(read_member, indexes.get(index_key(PREFIX, user), set()))
        if key.removeprefix(PREFIX) not in {member.key_hash for member in members if member is not None}:
            yield key


async def expect_to_hold(
    together: list[Callable[[SteppedStore], Operation]],
    stores: list[SteppedStore],
    world: World,
    check: Callable[[Run], list[str]],
) -> None:
    """Let operations meet in every order of their steps; look at the indexes after each."""
    missing: list[str] = []

    def watched(operation: Operation) -> Operation:
        async def run(turn: Turn) -> Any:
            async def step() -> None:
                await turn()
                missing.extend(unlisted(world))

            return await operation(step)

        return run

    async def prepare() -> list[Operation]:
        world.reset(WORLDS["live"])
        world.enlist(ALICE, write_member(Member(HANDLE, key_of(PRESENTED).removeprefix(PREFIX))), NOW + 3600)
        missing.clear()
        return [watched(make(store)) for make, store in zip(together, stores, strict=False)]

    async def violations(run: Run) -> list[str]:
        failed = [f"ERROR: {result!r}" for result in run.results if isinstance(result, BaseException)]
        found = [*missing, *unlisted(world)]
        told = ["UNLISTED: a live session is missing from its user's index"] if found else []
        return failed or [*told, *check(run)]

    found = await explore(prepare, violations)
    assert found.violations == {}
    assert found.runs > 1


@pytest.fixture
def indexed(stores: list[SteppedStore], monkeypatch: pytest.MonkeyPatch) -> list[SteppedStore]:
    """Stores whose round trips for indexes are steps."""
    monkeypatch.setattr(SteppedStore, "indexed", True)
    return stores


def requesting(kind: str, world: World) -> Callable[[SteppedStore], Operation]:
    def make(store: SteppedStore) -> Operation:
        clock: Any = store.clock
        clock.now = NOW + KINDS[kind].seconds
        return operation(kind, store, world)

    return make


def calling(call: Callable[[SteppedStore], Awaitable[Any]]) -> Callable[[SteppedStore], Operation]:
    def make(store: SteppedStore) -> Operation:
        async def run(turn: Turn) -> Any:
            store.turn = turn
            clock: Any = store.clock
            clock.now = NOW
            return await call(store)

        return run

    return make


@pytest.mark.parametrize("kind", BESIDE)
async def test_no_request_revives_what_its_user_has_revoked(
    kind: str, indexed: list[SteppedStore], world: World
) -> None:
    """Promise 5, by way of the index: whatever a request does beside it, the session is gone."""

    def check(run: Run) -> list[str]:
        live = [envelope.data for value in world.values().values() if (envelope := codec.decode(value)) is not None]
        # One that has become another user's in time is not alice's any more.
        revived = [data for data in live if data.get("who") == "old" and data.get("user_id") == "alice"]
        return ["REVIVED: the session lives after its user was revoked"] if revived else []

    revoke = calling(lambda store: store.revoke_user("alice"))
    await expect_to_hold([requesting(kind, world), revoke], indexed, world, check)


@pytest.mark.parametrize("kind", BESIDE)
async def test_a_listing_misses_no_session_that_lives(kind: str, indexed: list[SteppedStore], world: World) -> None:
    """A session that is read, changed, rotated or renewed meanwhile is listed, once; a login leaves one of the two."""

    def check(run: Run) -> list[str]:
        listed = [info.handle for info in run.results[1]]
        if len(listed) != len(set(listed)):
            return ["TWICE: a session is listed twice"]
        return ["MISSED: no session is listed"] if not listed and kind not in MAY_BE_MISSED else []

    listing = calling(lambda store: store.list_sessions("alice"))
    await expect_to_hold([requesting(kind, world), listing], indexed, world, check)


@pytest.mark.parametrize("kind", ["rotate", "renew", "save", "login"])
async def test_one_session_is_revoked_whatever_it_does(kind: str, indexed: list[SteppedStore], world: World) -> None:
    """By its handle, which a rotation leaves it."""

    def check(run: Run) -> list[str]:
        live = [value for value in world.values().values() if codec.decode(value) is not None]
        return ["REVIVED: the session lives"] if any(b'"who":"old"' in value for value in live) else []

    revoke = calling(lambda store: store.revoke(HANDLE, user_id="alice"))
    await expect_to_hold([requesting(kind, world), revoke], indexed, world, check)
