"""Ids are unguessable, checked before anyone is asked, and never given to the store."""

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chirp.middleware.sessions import session_id

URL_SAFE = set(string.ascii_letters + string.digits + "-_")


def test_an_id_is_256_random_bits_as_text() -> None:
    """43 URL-safe characters hold 32 bytes."""
    minted = session_id.mint()
    assert (len(minted), set(minted) <= URL_SAFE) == (43, True)


def test_no_two_ids_are_alike() -> None:
    """Each is minted anew."""
    assert len({session_id.mint() for _ in range(1000)}) == 1000


def test_no_two_handles_are_alike() -> None:
    """A handle names one session only."""
    assert len({session_id.mint_handle() for _ in range(1000)}) == 1000


def test_a_minted_id_is_well_formed() -> None:
    """What the store mints, the next request may present."""
    assert session_id.is_well_formed(session_id.mint())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 42,
        "a" * 44,
        "a" * 42 + "=",
        "a" * 42 + "\n",
        "a" * 43 + "\n",
        "\n" + "a" * 42,
        "a" * 42 + "é",
        "a" * 42 + "٣",
        "a" * 42 + "\0",
        "../" + "a" * 40,
        "a" * 42 + "*",
        "\ud800" + "a" * 42,
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    """Promise 13: what is no id never becomes a key."""
    assert not session_id.is_well_formed(text)


@given(st.text(max_size=60))
def test_well_formed_means_43_url_safe_characters(text: str) -> None:
    """No text slips through, whatever its characters."""
    assert session_id.is_well_formed(text) == (len(text) == 43 and set(text) <= URL_SAFE)


def test_the_store_is_given_the_sha_256_of_an_id() -> None:
    """A dump of the store yields no usable cookie."""
    minted = session_id.mint()
    assert session_id.hash_id(minted) == hashlib.sha256(minted.encode()).hexdigest()
