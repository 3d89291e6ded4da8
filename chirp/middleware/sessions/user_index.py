"""A user's index: under which key it is, and what its members say. Pure functions; no clock, no I/O.

An index is a sorted set under a key of its own. A member names one session by its handle and by the hash of its id, and
stands there as long as the session may live. A session that is being moved to another id has two members.
"""

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

CLOCK_SKEW_SECONDS = 300  # by which the clocks of the app's hosts may differ before an index forgets a live session

# A handle of this package and 32 bytes in base64 are 60 characters. Up to 64, Redis keeps a small set in one piece of
# memory (zset-max-listpack-value).
_member = re.compile(rb"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_-]{43})").fullmatch
_key = re.compile(r"[0-9a-f]{64}").fullmatch


class Member(NamedTuple):
    """What a member of an index says.

    Attributes:
        handle: of the session.
        key_hash: SHA-256 of its id as 64 hexadecimal digits, which is its key without the prefix.
    """

    handle: str
    key_hash: str


def index_key(key_prefix: str, user: bytes) -> str:
    """Return the key of a user's index. Hashed, so that any user id makes a key of the same short form.

    Args:
        key_prefix: of the store.
        user: the value under the user key, encoded.
    """
    return f"{key_prefix}user:{_base64(hashlib.sha256(user).digest())}"


def is_document_key(key: str, key_prefix: str) -> bool:
    """Tell the keys of sessions from those of indexes, and from others that happen to begin alike."""
    return key.startswith(key_prefix) and _key(key[len(key_prefix) :]) is not None


def write_member(member: Member) -> str:
    return f"{member.handle}:{_base64(bytes.fromhex(member.key_hash))}"


def read_member(value: bytes) -> Member | None:
    """Return what a member says; None for one that somebody else has put there."""
    match = _member(value)
    if match is None:
        return None
    handle, key_hash = match.groups()
    return Member(handle.decode("ascii"), urlsafe_b64decode(key_hash + b"=").hex())


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).decode("ascii").rstrip("=")
