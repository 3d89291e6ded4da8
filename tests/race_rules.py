"""Requests that meet at one session, and what has to hold after each order of their steps: the promises, as checks.

The rules are those of the design's model; here they are checked on what the real store has left on a real server.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from stepped import PREFIX, SteppedStore, World, at_once

from chirp.middleware.sessions import RedisSessionStore, Session, SessionConfig, regenerate_session, rotate_session
from chirp.middleware.sessions.about import About
from chirp.middleware.sessions.codec import Codec, Envelope, Tombstone, encode_data, read_tombstone, write_tombstone
from chirp.middleware.sessions.decision import Found
from chirp.middleware.sessions.session_id import hash_id
from chirp.testing import Browser, Run, Turn
from chirp.testing.interleavings import Operation

NOW = 1_800_000_000.0
MONTH = 30 * 86400
CONFIG = SessionConfig("for tests alone, and long enough")
PRESENTED, MOVED_TO = "p" * 43, "r" * 43  # ids
OLD, LOGIN = {"who": "old", "user_id": "alice", "x": 1, "flash": 1}, {"who": "login", "user_id": "alice", "secret": 1}

Pause = Callable[[], Awaitable[None]]

codec = Codec(CONFIG)


def key_of(session_id: str, prefix: str = PREFIX) -> str:
    return prefix + hash_id(session_id)


def document(data: dict[str, Any]) -> bytes:
    return codec.encode(created_at=NOW, last_seen_at=NOW, handle="handle-of-16-chr", data=encode_data(data))


WORLDS = {
    "live": {key_of(PRESENTED): document(OLD)},
    "renewed": {
        key_of(PRESENTED): write_tombstone(Tombstone(hash_id(MOVED_TO), follow=True)),
        key_of(MOVED_TO): document(OLD),
    },
    "unknown": {},
}


class Kind(NamedTuple):
    """A kind of request.

    Attributes:
        handler: what it does with its session; None for what is no request.
        ends: afterwards the session it found is dead.
        new_id: how it asks for one: "" not at all, "plain" or "follow".
        writes: a key that it adds.
        lasts: it gives the session a month.
        seconds: by which its clock is ahead.
    """

    handler: Callable[[Session], Any] | None
    ends: bool = False
    new_id: str = ""
    writes: str = ""
    lasts: bool = False
    seconds: float = 0.0


def sign_in(session: Session) -> None:
    regenerate_session().update(LOGIN)


def renew(session: Session) -> None:
    rotate_session(follow=True)


KINDS = {
    "save": Kind(lambda session: session.update(a=1), writes="a"),
    "save2": Kind(lambda session: session.update(b=1), writes="b"),
    "touch": Kind(lambda session: None, seconds=1000.0),
    "touch+save": Kind(lambda session: session.update(t=1), writes="t", seconds=1000.0),
    "clear": Kind(lambda session: session.clear(), ends=True),
    "pop": Kind(lambda session: session.pop("flash", None)),
    "login": Kind(sign_in, ends=True),
    "login2": Kind(sign_in, ends=True),
    "logout": Kind(lambda session: regenerate_session(), ends=True),
    "user change": Kind(lambda session: session.update(user_id="bob"), new_id="plain"),
    "rotate": Kind(lambda session: rotate_session(), new_id="plain"),
    "rotate+save": Kind(lambda session: rotate_session().update(r=1), new_id="plain", writes="r"),
    "renew": Kind(renew, new_id="follow"),
    "renew+save": Kind(lambda session: rotate_session(follow=True).update(f=1), new_id="follow", writes="f"),
    "remember": Kind(lambda session: session.set_lifetime(MONTH), lasts=True),
    "revoke": Kind(None, ends=True),
    "expire": Kind(None),
}


class Done(NamedTuple):
    """What a request has seen and left behind.

    Attributes:
        read: what it found in its session.
        was_live: it found one.
        kept: what it stored was acknowledged.
        cookie: the id in the cookie that it set, "" if it deleted the cookie, None if it did neither.
    """

    kind: str
    read: dict[str, Any]
    was_live: bool
    kept: bool
    cookie: str | None

    @property
    def is_new_session(self) -> bool:
        """Whether it asked for a session that has nothing to do with the one it found, as a login does."""
        return self.kind in ("login", "login2", "logout") or (self.kind == "user change" and not self.was_live)


async def request(kind: str, store: RedisSessionStore, presented: str, pause: Pause = at_once) -> Done:
    """Make one request of that kind; it pauses between load and save."""
    if kind == "revoke":
        await pause()
        await store.revoke_id(presented)
        return Done(kind, {}, True, True, None)
    browser = Browser(store, presented)
    loaded = await browser.begin()
    read, was_live = dict(loaded.session), loaded.session._found is Found.LIVE
    handler = KINDS[kind].handler
    assert handler is not None
    loaded.run(handler)
    await pause()
    header = await loaded.finish()
    kept = loaded.session._found is Found.LIVE
    return Done(kind, read, was_live, kept, None if header is None else browser.cookie or "")


def expired() -> Done:
    """Return what is to be said of a session that the server has let expire meanwhile."""
    return Done("expire", {}, False, True, None)


def operation(kind: str, store: SteppedStore, world: World) -> Operation:
    """Return one request of that kind, which takes its turns."""

    async def run(turn: Turn) -> Done:
        if kind == "expire":
            await turn()
            world.expire(key_of(PRESENTED))
            return expired()
        store.turn = turn
        return await request(kind, store, PRESENTED)

    return run


def violations(run: Run, values: dict[str, bytes], presented: str = PRESENTED, prefix: str = PREFIX) -> Iterator[str]:
    """Yield what is wrong after an order, or after a round whose order nobody knows.

    Args:
        run: its results are of `request` and `expired`.
        values: what stands on the server.
        presented: the id in the cookie of every request.
        prefix: of the keys.
    """
    done: Sequence[Done] = run.results
    failed = [result for result in run.results if isinstance(result, BaseException)]
    if failed:
        yield f"ERROR: {failed[0]!r}"
        return
    opened = {key: envelope for key, value in values.items() if (envelope := codec.decode(value)) is not None}
    live = {key: envelope.data for key, envelope in opened.items()}
    old = [data for data in live.values() if data.get("who") == "old"]
    ended = [each.kind for each in done if KINDS[each.kind].ends and each.was_live]
    gone = any(each.kind == "expire" for each in done)
    if ended and old:
        yield f"REVIVED: the session lives after an acknowledged {ended[0]} (promises 4 and 5)"
    if len(old) > 1:
        yield "COPIED: the session lives under two ids"
    if not ended and not gone:
        for each in done:
            key = KINDS[each.kind].writes
            if key and each.kept and not any(key in data for data in live.values()):
                yield f"LOST: {each.kind} was acknowledged (promise 3)"
    yield from _lifetimes(done, opened.values(), going_on=not ended and not gone)
    handed_out = {key_of(each.cookie, prefix) for each in done if each.cookie}
    if not live.keys() <= {key_of(presented, prefix), key_of(MOVED_TO, prefix)} | handed_out:
        yield "STRAY: a document is stored under an id that nobody has"
    reached = live.get(_where(key_of(presented, prefix), values, prefix))
    yield from _planted(done, live, reached)
    if run.order:
        gone = gone or "clear" in ended or "revoke" in ended
        yield from _cookies(run, done, [key_of(each.cookie or "", prefix) in live for each in done], gone=gone)


def _lifetimes(done: Sequence[Done], opened: Iterable[Envelope], *, going_on: bool) -> Iterator[str]:
    months = [envelope.data for envelope in opened if envelope.about == About(max_age=MONTH)]
    if going_on and not months and any(KINDS[each.kind].lasts and each.kept for each in done):
        yield "LOST: the session has its old lifetime, and the new one was acknowledged (promise 3)"
    if any(data.get("who") != "old" for data in months):
        yield "PLANTED: a login's session has the lifetime of the one before"


def _planted(done: Sequence[Done], live: dict[str, Any], reached: dict[str, Any] | None) -> Iterator[str]:
    """The presented id is one that an attacker may know; `reached` is what it leads to."""
    for data in live.values():
        if data.get("who") == "login" and set(data) - set(LOGIN):
            yield "PLANTED: a request with the old id wrote into the login's session (promise 6)"
    for each in done:
        if each.read.get("who") == "login":
            yield f"PLANTED: {each.kind} with the old id read the login's session (promise 6)"
    # Whether it set a cookie or not: who has been told that it is done takes the old id for dead.
    moved = [each.kind for each in done if KINDS[each.kind].new_id == "plain" and (each.cookie or each.kept)]
    if reached is not None and moved:
        yield f"PLANTED: the old id leads to the session after {moved[0]} (promise 6)"


def _where(key: str, values: dict[str, bytes], prefix: str) -> str:
    """Return the key that tombstones lead to which may be followed."""
    for _ in range(len(values)):
        tombstone = read_tombstone(values.get(key, b""))
        if tombstone is None or not tombstone.follow or tombstone.successor is None:
            break
        key = prefix + tombstone.successor
    return key


def _cookies(run: Run, done: Sequence[Done], alive: Sequence[bool], *, gone: bool) -> Iterator[str]:
    """What the browser is left with: it keeps the cookie of the last response."""
    last = {index: run.last_step(index) for index in range(len(done))}
    setting = sorted((index for index, each in enumerate(done) if each.cookie is not None), key=last.__getitem__)
    for login in (index for index in setting if done[index].is_new_session):
        for index in setting:
            if last[index] > last[login] and not done[index].is_new_session:
                yield f"COOKIE: {done[index].kind} sets one after the {done[login].kind} was stored (promises 4 and 7)"
    for way in ("plain", "follow"):
        moving = [each for each in done if each.cookie and each.was_live and KINDS[each.kind].new_id == way]
        if len(moving) > 1:
            yield f"TWO COOKIES: both of two rotations ({way}) set one"
    logged_out = gone or "logout" in {each.kind for each in done}
    if setting and not logged_out and not alive[setting[-1]]:
        yield f"LOGGED OUT: the last cookie, of {done[setting[-1]].kind}, leads nowhere (promise 7)"
