"""The atomic steps of server-side stores, and how writes of one session that meet are folded into one.

A step touches one key and is atomic; that, and the order in which steps are taken, is all that correctness needs.
Pure data and functions; no I/O, no clock.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.codec import EMPTY_DATA, Codec, merge
from chirp.middleware.sessions.expiry import Lifetime

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


Step: TypeAlias = Create | Look | End | Swap | Delete
Reply: TypeAlias = bool | bytes


class Write(msgspec.Struct, frozen=True, gc=False):
    """One request's change to a stored session, in a form that can be merged with others'.

    Attributes:
        swap: the step that makes this change, if nobody else changed the session.
        data: the encoded data in `swap.document`.
        base: the encoded data this request had loaded; None for a touch, which changes no data.
        mine: the encoded data this request wants to store.
        slide_to: the new `last_seen_at`; None leaves it, and the time to live, as they are.
    """

    swap: Swap
    data: bytes
    base: bytes | None
    mine: bytes
    slide_to: float | None


class Written(msgspec.Struct, frozen=True, gc=False):
    """How a write ended.

    Attributes:
        done: whether it was stored.
        value: the document that stands now if done, `NO_DOCUMENT` if that meant deletion; otherwise
            what stands there instead, or None if the key is gone.
    """

    done: bool
    value: bytes | None


def written(swap: Swap, reply: Reply) -> Written:
    """Read the reply to a write's swap."""
    if reply is True:
        return Written(True, swap.document)
    return Written(False, None if reply is False else reply)


def rebase(write: Write, current: bytes, codec: Codec, lifetime: Lifetime) -> Write | None:
    """Return the same change on top of the document `current`; None if that one is corrupt.

    Raises:
        SessionTooLarge: the merged document exceeds the limit.
    """
    if write.base is None or codec.decode(current) is None:
        return None
    data = merge(codec.data_of(current), write.base, write.mine)
    return _aim(write, current, data, codec=codec, lifetime=lifetime)


def _aim(write: Write, expected: bytes, data: bytes, *, codec: Codec, lifetime: Lifetime) -> Write | None:
    """Return the write with `data` in place of the document `expected`."""
    slide_to = write.slide_to
    remade = codec.remake(expected, data=data, last_seen_at=slide_to)
    if remade is None:
        return None
    envelope, document = remade
    if data == EMPTY_DATA:
        swap = replace(write.swap, expected=expected, document=NO_DOCUMENT, ttl_ms=KEEP_TTL)
    else:
        ttl_ms = KEEP_TTL
        if slide_to is not None:
            ttl_ms = lifetime.ttl_ms(envelope.created_at, envelope.last_seen_at, slide_to)
        swap = replace(write.swap, expected=expected, document=document, ttl_ms=ttl_ms)
    return replace(write, swap=swap, data=data)


class Folded(NamedTuple):
    """Several writes of one key as one swap.

    Attributes:
        swap: what to send.
        members: positions of the writes that share its reply.
        losers: positions of touches that another write made pointless, and writes that do not fit, with the answer.
    """

    swap: Swap
    members: Sequence[int]
    losers: Mapping[int, Written | SessionTooLarge]


NOBODY: Mapping[int, Written | SessionTooLarge] = {}


def fold_by_key(writes: Sequence[Write], codec: Codec, lifetime: Lifetime) -> list[Folded]:
    """Fold the writes of each key; positions are those in `writes`."""
    groups: dict[str, list[int]] = {}
    for position, write in enumerate(writes):
        groups.setdefault(write.swap.key, []).append(position)
    folds = []
    for positions in groups.values():
        if len(positions) == 1:
            folds.append(Folded(writes[positions[0]].swap, positions, NOBODY))
            continue
        swap, members, losers = fold([writes[position] for position in positions], codec, lifetime)
        losers = {positions[loser]: answer for loser, answer in losers.items()}
        folds.append(Folded(swap, [positions[member] for member in members], losers))
    return folds


def fold(writes: Sequence[Write], codec: Codec, lifetime: Lifetime) -> Folded:
    """Fold writes of one key, in the order they came: for one top-level key the later wins, others are all kept.

    A touch never changes what another request wrote, so it yields to any write, and a second touch to the first.
    """
    changing = [index for index, write in enumerate(writes) if write.base is not None]
    first = changing[0] if changing else 0
    whole, members = writes[first], [first]
    losers: dict[int, Written | SessionTooLarge] = {
        index: Written(False, write.swap.expected)
        for index, write in enumerate(writes)
        if write.base is None and index != first
    }
    for index in changing[1:]:
        write = writes[index]
        slides = [time for time in (whole.slide_to, write.slide_to) if time is not None]
        try:
            data = merge(whole.data, write.base or EMPTY_DATA, write.mine)
            sliding = replace(whole, slide_to=max(slides, default=None))
            folded = _aim(sliding, whole.swap.expected, data, codec=codec, lifetime=lifetime)
        except SessionTooLarge as error:
            losers[index] = error
            continue
        if folded is None:
            losers[index] = Written(False, None)
            continue
        whole = folded
        members.append(index)
    return Folded(whole.swap, members, losers)
