"""Whatever a client sends and whatever a store holds: no error, no strange key, and a clean log (promise 13)."""

import asyncio
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import hostile_strategies as examples
import pytest
from hostile import CONFIG, NOW, Memory, check_cookie_header, check_replaced, check_stored
from hostile_seeds import COOKIE_HEADERS, CORRUPT, READABLE, URLS, document
from hostile_text import (
    check_key_prefix,
    check_redis_url,
    check_setting,
    check_signed_cookie,
    genuine_cookie,
    sign,
    signed_document,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from session_kit import Clock

from chirp.middleware.sessions import CookieSessionStore, SessionConfig
from chirp.middleware.sessions.cookie import LARGEST_COOKIE

SETTINGS = [field.name for field in fields(SessionConfig) if field.name not in ("secret_key", "store")]
GENUINE = asyncio.run(genuine_cookie())
MIB = 2**20

odd_text = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(categories=["Cc", "Cs", "Zl", "Zs", "Cf"]), max_size=5),
    st.text('abc./;=,"\\ \r\n\0\x7f', max_size=12).map(lambda text: "/" + text),
    st.text(min_size=1100, max_size=1200),
    st.sampled_from(["__Host-id", "__secure-id", "none", "auto", "lax\r\nSet-Cookie: a=b", "data", "handle"]),
)
odd_values = st.one_of(
    odd_text,
    st.lists(odd_text, max_size=2).map(tuple),
    st.integers(),
    st.floats(),
    st.sampled_from([10**5000, -(10**5000), True, None, b"bytes", [], {}, float("nan"), float("inf")]),
)


@given(examples.cookie_headers)
@settings(max_examples=300)
async def test_any_cookie_header_finds_the_right_cookie_or_none(lines: list[bytes]) -> None:
    """As a plain parser finds it; what is malformed asks no store, and the answer is that of a first visit."""
    await check_cookie_header(lines)


@pytest.mark.parametrize("name", COOKIE_HEADERS)
async def test_a_long_cookie_header_is_read_in_time(name: str) -> None:
    """Far longer than servers let through, read within the test's own time: the reader takes each byte once."""
    await check_cookie_header([COOKIE_HEADERS[name] * 30])


@given(examples.stored_values)
@settings(max_examples=300)
async def test_any_stored_value_is_a_session_or_an_anonymous_one(value: bytes) -> None:
    """With every kind of handler, through `open` and `commit`."""
    await check_stored(Memory(), value)


@given(examples.stored_values)
@settings(max_examples=150)
async def test_any_value_may_take_a_sessions_place_under_way(value: bytes) -> None:
    """What was loaded is not what is there at the commit: merged where it can be, and otherwise gone."""
    await check_replaced(Memory(), value)


@pytest.mark.parametrize("name", [*CORRUPT, *READABLE])
async def test_a_named_value_does_no_harm(name: str) -> None:
    """Those that are asked of Redis as well."""
    await check_stored(Memory(), {**CORRUPT, **READABLE}[name])
    await check_replaced(Memory(), {**CORRUPT, **READABLE}[name])


@given(examples.mutated(st.just(GENUINE.encode())))
@settings(max_examples=300)
async def test_a_changed_signed_cookie_is_no_session(value: bytes) -> None:
    """Cut, doubled or replaced anywhere, it is an anonymous request, or the very session that was signed."""
    await check_signed_cookie(value.decode("latin-1"))


async def test_each_character_of_a_signed_cookie_counts() -> None:
    """Every single one replaced: nothing else than what was signed is ever found."""
    for at, character in enumerate(GENUINE):
        for other in {"A", "b", "_", ".", "\xff"} - {character}:
            await check_signed_cookie(GENUINE[:at] + other + GENUINE[at + 1 :])


WAYS_TO_SIGN: dict[str, Callable[[bytes], str]] = {
    "as it is": signed_document,
    "compressed": lambda value: signed_document(zlib.compress(value), compressed=True),
    "said to be compressed": lambda value: signed_document(value, compressed=True),
    "without its encoding": lambda value: sign(value.replace(b".", b"")),
}


@given(examples.stored_values, st.sampled_from(sorted(WAYS_TO_SIGN)))
async def test_a_signed_cookie_that_holds_anything_is_no_error(value: bytes, way: str) -> None:
    """Signed by an older version, or by whoever knows the secret."""
    await check_signed_cookie(WAYS_TO_SIGN[way](value), forged=True)


def bomb() -> bytes:
    """Return a document that compresses to what fits into a cookie, and is a thousand times as large."""
    return zlib.compress(document(b'{"a":"%s"}' % (b"x" * 2_000_000)), 9)


async def opened_within(cookie: str) -> int:
    """Return how many bytes were taken at most while a cookie was opened."""
    assert len(cookie) <= LARGEST_COOKIE
    store = CookieSessionStore(CONFIG, clock=Clock(NOW))
    tracemalloc.start()
    try:
        await store.open(cookie, https=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_a_compressed_bomb_that_nobody_signed_is_not_expanded() -> None:
    """The signature is checked first, so it takes no more memory than a cookie does."""
    cookie = signed_document(bomb(), compressed=True)
    assert await opened_within(cookie[:-5] + "AAAAA") < 0.1 * MIB


async def test_a_compressed_bomb_with_a_good_signature_is_bounded() -> None:
    """Whoever has the secret may sign one: it grows to a thousand cookies, the most that zlib gives, and no error."""
    cookie = signed_document(bomb(), compressed=True)
    assert 2 * MIB < await opened_within(cookie) < 16 * MIB
    await check_signed_cookie(cookie, forged=True)


@given(examples.urls)
@settings(max_examples=300)
def test_any_redis_url_is_a_store_or_a_configuration_error(url: str) -> None:
    """Which repeats nothing of it: there may be a password anywhere in a URL with a slip."""
    check_redis_url(url)


@pytest.mark.parametrize("name", URLS)
def test_a_named_url_does_no_harm(name: str) -> None:
    """Ways in which people and attackers write them."""
    check_redis_url(URLS[name])


@given(st.sampled_from(SETTINGS), odd_values)
@example("path", "/a; Domain=evil.example")
@example("domain", "a\r\nSet-Cookie: b=c")
@example("cookie_name", "a=b; HttpOnly")
@example("samesite", "lax; Domain=evil.example")
@settings(max_examples=300)
def test_any_setting_is_refused_in_one_line_or_works(name: str, value: Any) -> None:
    """And what works makes one `Set-Cookie` with the attributes that there are."""
    check_setting(name, value)


@given(odd_values)
def test_any_key_prefix_is_refused_in_one_line_or_works(value: Any) -> None:
    """Every key begins with it."""
    check_key_prefix(value)
