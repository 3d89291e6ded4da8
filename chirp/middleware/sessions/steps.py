"""The atomic steps of server-side stores.

A step touches one key and is atomic; that, and the order in which steps are taken, is all that correctness needs.
Pure data; no I/O, no clock. Keys hold documents, but for those of `Enlist`, `Delist` and `Members`, which hold a user's
index, and that of `Announce`, which is a channel.
"""

from typing import TypeAlias

import msgspec

NO_DOCUMENT = b""  # as the new value of a swap: delete the key
KEEP_TTL = 0


class Create(msgspec.Struct, frozen=True, gc=False):
    """Store a document under a key that nobody has. Reply: True, or False if something was there."""

    key: str
    document: bytes
    ttl_ms: int


class Look(msgspec.Struct, frozen=True, gc=False):
    """Reply: the value, or False if there is none (or none that is a string)."""

    key: str


class End(msgspec.Struct, frozen=True, gc=False):
    """Put a blank tombstone in place of whatever is there, except a tombstone.

    Reply: True if a document died, False if there was none, the tombstone's bytes if one was there already.
    A grace of 0 ms deletes instead.
    """

    key: str
    grace_ms: int


class Swap(msgspec.Struct, frozen=True, gc=False):
    """Put `document` in place of exactly `expected`.

    Reply: True if done, False if the key is gone, else the bytes that are there instead.
    A `document` of `NO_DOCUMENT` deletes the key, a TTL of `KEEP_TTL` leaves the time to live as it is.
    """

    key: str
    expected: bytes
    document: bytes
    ttl_ms: int


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete the key, whatever is there. Reply: True."""

    key: str


class Enlist(msgspec.Struct, frozen=True, gc=False):
    """Put a member into an index until a time, and drop members whose time is over. Reply: True.

    A member's time is never brought forward. What else stands under the key is replaced. Times are Unix seconds; the
    index lives on for `ttl_ms` milliseconds at least.
    """

    key: str
    member: str
    until: float
    over: float
    ttl_ms: int


class Delist(msgspec.Struct, frozen=True, gc=False):
    """Take members out of an index. Reply: True."""

    key: str
    members: tuple[str, ...]


class Members(msgspec.Struct, frozen=True, gc=False):
    """Reply: the members of an index, a list of bytes; empty where there is no index."""

    key: str


class Announce(msgspec.Struct, frozen=True, gc=False):
    """Send a message to whoever listens to a channel now. Reply: True."""

    key: str
    message: str


Step: TypeAlias = Create | Look | End | Swap | Delete | Enlist | Delist | Members | Announce
Reply: TypeAlias = bool | bytes | list[bytes]
