"""What may come of what a client sends and of what stands in a store: one definition, for Hypothesis and the fuzzer.

Each function takes something hostile and returns when it did no harm (promises 12 and 13). Otherwise an AssertionError
says what it did, or the exception that came through is its own.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from session_kit import Clock, WatchedStore, call_asgi, config_with, http_scope
from starlette.types import Receive, Scope, Send

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions import ASGISessionMiddleware, CookieSessionStore, Session, regenerate_session
from chirp.middleware.sessions.codec import Codec, is_document, read_tombstone
from chirp.middleware.sessions.cookie import CookieChange, SetCookie
from chirp.middleware.sessions.current import current_session
from chirp.middleware.sessions.server_side import ServerSideStore
from chirp.middleware.sessions.session_id import hash_id
from chirp.middleware.sessions.store import BuiltInStore

NOW = 1_700_000_000.0
ID = "i" * 43  # of the session whose stored value is hostile; no other text in here looks like it
PREFIX = "hostile:"
CONFIG = config_with(absolute_timeout_seconds=10_000)  # so that both limits take part
CODEC = Codec(CONFIG)
SECRET_DATA = "precious"  # stands in some stored values, and is nobody's business who reads a log
PLAIN = b'{"__created_at":1699996000,"__last_seen_at":1699996000,"handle":"abc","data":{"a":[1],"user_id":1}}'
MOST_KEYS = 3  # what an end follows, what it ends, and what begins instead

_key = re.compile(r"[0-9a-f]{64}").fullmatch
_handle = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_set_cookie = re.compile(r'chirp_session=([A-Za-z0-9_.-]*|"")(; Max-Age=\d+)?; [ -~]+').fullmatch


def _look_at_all(session: Session) -> None:
    for key in session:
        session.get(key)


# Handlers, and whether what they store may be too large together with what was there.
HANDLERS: dict[str, tuple[Callable[[Session], object], bool]] = {
    "untouched": (lambda session: None, False),
    "looked into": (_look_at_all, False),
    "changed": (lambda session: session.update(b=2), True),
    "changed by name": (lambda session: [session.update({key: 1}) for key in list(session)], True),
    "emptied": (lambda session: [session.pop(key) for key in list(session)], False),
    "logout": (Session.clear, False),
    "login": (lambda session: regenerate_session().update(user_id=7), False),
    "other user": (lambda session: session.update(user_id="somebody else"), True),
}

ENDS = ("logout", "login")  # after which the id leads nowhere
STAYS = {"untouched": {}, "looked into": {}, "changed": {"b": 2}}  # under the same id, and what is then there besides


class Place(Protocol):
    """A store whose values can be planted and looked at.

    Attributes:
        store: on it every check is made.
    """

    store: ServerSideStore

    async def plant(self, key: str, value: bytes) -> None:
        """Let nothing stand in the store but this."""

    async def values(self) -> dict[str, bytes]:
        """Return what stands there."""


class Memory:
    """A place in this process."""

    def __init__(self) -> None:
        self.watched = WatchedStore(CONFIG, clock=Clock(NOW))
        self.store: ServerSideStore = self.watched
        self.store.key_prefix = PREFIX

    async def plant(self, key: str, value: bytes) -> None:
        self.watched._values = {key: (value, NOW + 1000)}

    async def values(self) -> dict[str, bytes]:
        return {key: value for key, (value, _) in self.watched._values.items()}


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        assert record.exc_info is None, f"an unexpected exception was logged: {record.exc_info}"


@contextmanager
def harmless_log(*secrets: str) -> Iterator[list[str]]:
    """Check that whatever is logged is one readable line each, and names none of these."""
    log, records = logging.getLogger("chirp"), _Records()
    log.addHandler(records)
    propagate, log.propagate = log.propagate, False
    try:
        yield records.lines
    finally:
        log.removeHandler(records)
        log.propagate = propagate
    check_lines(records.lines, *secrets)


def check_lines(lines: Iterable[str], *secrets: str) -> None:
    """Check lines of a log, or texts of errors."""
    for line in lines:
        assert line.isprintable(), f"not one readable line: {line!a}"
        assert not any(secret in line for secret in secrets), f"a secret is in {line!a}"


def check_set_cookie(cookie: SetCookie | None) -> None:
    if cookie is not None:
        assert _set_cookie(cookie.header), f"Set-Cookie: {cookie.header!a}"


async def visit(store: BuiltInStore, session: Session, handler: Callable[[Session], object]) -> SetCookie | None:
    """Let a handler have the session as the fronts do, and end the request."""
    token = current_session.set(session)
    try:
        handler(session)
    finally:
        current_session.reset(token)
    return await store.commit(session, store.clock())


def last_well_formed(lines: Iterable[bytes], name: bytes, pattern: bytes) -> str | None:
    """Find a cookie by taking the headers apart: slow, and so plain that it is right."""
    found = None
    for line in lines:
        for part in line.split(b";"):
            key, _, value = part.strip(b" \t").partition(b"=")
            if key == name and re.fullmatch(pattern, value):
                found = value.decode("ascii")
    return found


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    assert not scope["session"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


PLACE, COOKIES = Memory(), CookieSessionStore(CONFIG, clock=Clock(NOW))
_apps = [ASGISessionMiddleware(_answer, replace(CONFIG, store=store)) for store in (PLACE.store, COOKIES)]


async def check_cookie_header(lines: Sequence[bytes]) -> None:
    """Any `Cookie` headers: the right cookie is found or none, and a request with a malformed one asks no store."""
    headers = [(b"cookie", line) for line in lines]
    expected = last_well_formed(lines, b"chirp_session", rb"[A-Za-z0-9_-]{43}")
    signed = last_well_formed(lines, b"chirp_session", rb"[A-Za-z0-9_.-]{1,4096}")
    assert PLACE.store.cookie_reader.read(headers) == expected
    assert COOKIES.cookie_reader.read(headers) == signed
    PLACE.watched.used.clear()
    for app in _apps:
        with harmless_log(*([expected] if expected else [])):
            start, _ = await call_asgi(app, http_scope(headers=headers))
        assert (start["status"], start["headers"]) == (200, [(b"vary", b"Cookie")])
    assert PLACE.watched.used == ([] if expected is None else ["read"])
    assert await PLACE.values() == {}


async def check_stored(place: Place, value: bytes, handlers: Iterable[str] = HANDLERS) -> None:
    """Any bytes under a session's key: a session or an anonymous one, whatever the handler does with it."""
    store, key = place.store, place.store.key_for(ID)
    for name in handlers:
        handler, may_be_too_large = HANDLERS[name]
        await place.plant(key, value)
        with harmless_log(ID, hash_id(ID), SECRET_DATA):
            session = await store.open(ID, https=True)
            assert _handle(session.handle), f"handle {session.handle!a}"
            was_live, before = not session.is_new, dict(session)
            try:
                cookie = await visit(store, session, handler)
            except SessionTooLarge:
                assert may_be_too_large, f"{name}: stores too little for that"
                assert await place.values() == {key: value}, f"{name}: refused, and yet stored"
                continue
            after = await store.open(ID, https=True)
        check_set_cookie(cookie)
        check_values(await place.values(), key, value, store.key_prefix)
        ended = cookie is not None and cookie.change is CookieChange.DELETE
        assert ended or not (was_live and name == "logout"), "a logout that ends nothing"
        assert name not in ENDS or not after, f"{name}: the old id leads somewhere"
        assert name not in STAYS or after == (before | STAYS[name] if was_live else {}), f"{name}: {dict(after)}"


async def check_replaced(place: Place, value: bytes, handlers: Iterable[str] = HANDLERS) -> None:
    """Any bytes that take a session's place between a request's load and its commit."""
    store, key = place.store, place.store.key_for(ID)
    for name in handlers:
        handler, stores = HANDLERS[name][0], name not in ENDS
        await place.plant(key, PLAIN)
        with harmless_log(ID, hash_id(ID), SECRET_DATA):
            session = await store.open(ID, https=True)
            await place.plant(key, value)
            try:
                check_set_cookie(await visit(store, session, handler))
            except SessionTooLarge:  # together with what stands there now
                assert stores, f"{name}: stores too little for that"
                assert await place.values() == {key: value}, f"{name}: refused, and yet stored"
            check_values(await place.values(), key, value, store.key_prefix)
            after = await store.open(ID, https=True)
            assert stores or not after, f"{name}: the old id leads somewhere"


def check_values(values: dict[str, bytes], key: str, planted: bytes, prefix: str) -> None:
    """Check that a store holds nothing but what was planted, documents and tombstones, under keys of its own."""
    assert len(values) <= MOST_KEYS, f"{len(values)} keys"
    for each, value in values.items():
        assert each.startswith(prefix), f"key {each!a}"
        assert _key(each.removeprefix(prefix)), f"key {each!a}"
        if each != key or value != planted:
            sound = read_tombstone(value) or (is_document(value) and CODEC.decode(value))
            assert sound, f"what was stored cannot be read: {value[:200]!r}"
