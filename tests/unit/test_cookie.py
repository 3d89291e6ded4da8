"""Finding, writing and deleting one cookie."""

from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_kit import COOKIE, config_with
from starlette.requests import cookie_parser

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions import session_id
from chirp.middleware.sessions.about import About
from chirp.middleware.sessions.cookie import LARGEST_COOKIE, CookieChange, CookieReader, CookieWriter

ONE, TWO = "1" * 43, "2" * 43
reader = CookieReader(COOKIE, session_id.ID_PATTERN)


def read(*lines: str) -> str | None:
    return reader.read([(b"host", b"x"), *((b"cookie", line.encode("latin-1")) for line in lines)])


def written(**settings: Any) -> str:
    return CookieWriter(config_with(**settings)).write(ONE, CookieChange.NEW, https=True).header


def attributes(header: str) -> set[str]:
    return set(header.split("; ")[1:])


@pytest.mark.parametrize(
    "line",
    [
        f"{COOKIE}={ONE}",
        f"a=b; {COOKIE}={ONE}",
        f"{COOKIE}={ONE}; a=b",
        f"a=b;{COOKIE}={ONE};c",
        f"a=b; \t{COOKIE}={ONE} ; c=d",
        f'a="x; {COOKIE}={ONE}',
        f";;;{COOKIE}={ONE}",
    ],
)
def test_the_cookie_is_found_among_others(line: str) -> None:
    """Wherever it stands, with or without the space after a semicolon."""
    assert read(line) == ONE


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a=b",
        f"x{COOKIE}={ONE}",
        f"a b {COOKIE}={ONE}",
        f"{COOKIE}x={ONE}",
        f"{COOKIE.upper()}={ONE}",
        f"a={COOKIE}={ONE}",
        f"{COOKIE}=",
        f"{COOKIE}={ONE}x",
        f"{COOKIE}={ONE[1:]}",
        f"{COOKIE}={ONE} x",
        f'{COOKIE}="{ONE}"',
        f"{COOKIE}={ONE[1:]}\xff",
        f"{COOKIE}={ONE[1:]}\0",
        f"{COOKIE} {ONE}",
    ],
)
def test_what_only_resembles_the_cookie_is_not_found(line: str) -> None:
    """Promise 1: a malformed cookie is no cookie."""
    assert read(line) is None


def test_dots_in_the_name_are_no_wildcards() -> None:
    """A name is text, not a pattern."""
    dotted = CookieReader("a.b", session_id.ID_PATTERN)
    assert dotted.read([(b"cookie", f"a.b={ONE}; axb={TWO}".encode())]) == ONE


@pytest.mark.parametrize("lines", [(f"{COOKIE}={ONE}; {COOKIE}={TWO}",), (f"{COOKIE}={ONE}", f"{COOKIE}={TWO}")])
def test_of_several_the_last_counts(lines: tuple[str, ...]) -> None:
    """In one header as in several, as Starlette's parser has it."""
    assert read(*lines) == TWO


def test_a_malformed_one_at_the_end_does_not_hide_the_one_before() -> None:
    """A cookie planted by a sibling host cannot log anyone out by being malformed."""
    assert read(f"{COOKIE}={ONE}; {COOKIE}=planted") == ONE


@given(st.lists(st.sampled_from([f"{COOKIE}={ONE}", f"{COOKIE}={TWO}", "a=b", "c", ""])))
def test_the_reader_agrees_with_starlettes_parser(parts: list[str]) -> None:
    """For every header of well-formed cookies."""
    line = "; ".join(parts)
    assert read(line) == cookie_parser(line).get(COOKIE)


@given(st.binary(max_size=200))
def test_no_header_makes_the_reader_fail(noise: bytes) -> None:
    """Promise 13: bytes around the cookie, invalid in any encoding, are ignored."""
    assert reader.read([(b"cookie", noise + f"; {COOKIE}={ONE}".encode())]) == ONE


def test_a_written_cookie_is_read_back() -> None:
    """The value is neither quoted nor changed."""
    assert read(written().partition(";")[0]) == ONE


def test_the_attributes_of_a_plain_config() -> None:
    """Max-Age, Path, HttpOnly, SameSite and, over https, Secure."""
    assert attributes(written()) == {"Max-Age=86400", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"}


@pytest.mark.parametrize(
    ("settings", "attribute"),
    [
        ({"domain": "example.com"}, "Domain=example.com"),
        ({"path": "/app"}, "Path=/app"),
        ({"max_age": 7}, "Max-Age=7"),
        ({"samesite": "strict"}, "SameSite=Strict"),
        ({"samesite": "none", "secure": True}, "SameSite=None"),
        ({"partitioned": True, "secure": True}, "Partitioned"),
    ],
)
def test_a_setting_becomes_an_attribute(settings: dict[str, Any], attribute: str) -> None:
    """What the config says is what the browser is told."""
    assert attribute in attributes(written(**settings))


@pytest.mark.parametrize(
    ("about", "max_age"),
    [
        (None, {"Max-Age=50"}),
        (About(user_agent="x"), {"Max-Age=50"}),
        (About(max_age=7), {"Max-Age=7"}),
        (About(persistent=False), set()),
        (About(max_age=7, persistent=False), set()),
    ],
)
def test_the_max_age_of_one_session(about: About | None, max_age: set[str]) -> None:
    """Its own, or the config's, or none; all other attributes are as usual."""
    header = CookieWriter(config_with(max_age=50)).write(ONE, CookieChange.NEW, https=True, about=about).header
    assert attributes(header) == {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} | max_age


def test_httponly_can_be_left_out() -> None:
    """For apps whose scripts must see it."""
    assert "HttpOnly" not in attributes(written(httponly=False))


@pytest.mark.parametrize(
    ("secure", "https", "is_secure"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("auto", None, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_when_the_cookie_is_secure(*, secure: Any, https: bool | None, is_secure: bool) -> None:
    """With "auto" as the request came, and Secure where that is not known."""
    writer = CookieWriter(config_with(secure=secure))
    headers = [writer.write(ONE, CookieChange.NEW, https=https), writer.delete(https=https)]
    assert [("Secure" in attributes(line.header)) for line in headers] == [is_secure, is_secure]


@pytest.mark.parametrize(
    "settings",
    [{}, {"domain": "example.com", "path": "/app"}, {"partitioned": True, "secure": True, "samesite": "none"}],
)
def test_a_deletion_carries_the_attributes_of_the_cookie(settings: dict[str, Any]) -> None:
    """A browser ignores a deletion whose Domain, Path, Secure or Partitioned differs."""
    writer = CookieWriter(config_with(**settings))
    live = attributes(writer.write(ONE, CookieChange.NEW, https=True).header)
    dead = attributes(writer.delete(https=True).header)
    assert {one for one in live if not one.startswith("Max-Age")} <= dead


def test_a_deletion_expires_at_once() -> None:
    """By Max-Age and, for old browsers, by Expires."""
    morsel = SimpleCookie(CookieWriter(config_with()).delete(https=True).header)[COOKIE]
    assert (morsel.value, morsel["max-age"], morsel["expires"]) == ("", "0", "Thu, 01 Jan 1970 00:00:00 GMT")


def test_a_cookie_of_4096_bytes_is_written() -> None:
    """Name and value count, attributes do not."""
    writer = CookieWriter(config_with())
    value = "a" * (LARGEST_COOKIE - len(COOKIE))
    assert writer.write(value, CookieChange.NEW, https=True).header.startswith(f"{COOKIE}={value};")


def test_a_cookie_of_more_bytes_is_refused() -> None:
    """Promise 16: browsers would drop it silently, so the error tells size and limit."""
    with pytest.raises(SessionTooLarge, match="4097 bytes") as raised:
        CookieWriter(config_with()).write("a" * (LARGEST_COOKIE + 1 - len(COOKIE)), CookieChange.NEW, https=True)
    assert (raised.value.size, raised.value.limit) == (4097, 4096)


def test_the_change_is_told_with_the_header() -> None:
    """A deletion says so itself, and a write says what it was asked to."""
    writer = CookieWriter(config_with())
    changes = [writer.write(ONE, change, https=True).change for change in (CookieChange.NEW, CookieChange.SLIDE)]
    assert [*changes, writer.delete(https=True).change] == [CookieChange.NEW, CookieChange.SLIDE, CookieChange.DELETE]
