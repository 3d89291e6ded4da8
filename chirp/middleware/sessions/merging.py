"""Writes of one session that meet: how a change is carried over to what another request stored, and folded with others.

For one top-level key the later write wins, all others are kept. Pure data and functions; no I/O, no clock.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.about import AboutChange
from chirp.middleware.sessions.codec import EMPTY_DATA, Codec, Envelope, is_document
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.steps import KEEP_TTL, NO_DOCUMENT, Reply, Swap

MOST_MERGES = 32  # each lost compare means that another process's write went through, so this many is a stampede

NO_CHANGE: AboutChange = MappingProxyType({})

Change: TypeAlias = Mapping[str, msgspec.Raw | None]  # by top-level key: its new value, encoded; None: removed

_encode = msgspec.json.Encoder().encode
_decode_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Write(msgspec.Struct, frozen=True, gc=False):
    """One request's change to a stored session, in a form that can be merged with others'.

    Attributes:
        swap: the step that makes this change, if nobody else changed the session.
        data: the encoded data in `swap.document`.
        base: the encoded data this request had loaded; None for a touch, which changes no data.
        mine: the encoded data this request wants to store.
        slide_to: the new `last_seen_at`; None leaves it, and the time to live, as they are.
        about: what it changes beside the data, if it slides; all else of that stays as others have left it.
    """

    swap: Swap
    data: bytes
    base: bytes | None
    mine: bytes
    slide_to: float | None
    about: AboutChange = NO_CHANGE


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
    return Written(False, reply if isinstance(reply, bytes) else None)


def can_merge(write: Write, result: Written) -> bool:
    """Tell whether a write that lost its compare may be tried again: a touch may not, nor one of an ended session."""
    return not result.done and write.base is not None and result.value is not None and is_document(result.value)


def changes_between(base: bytes, mine: bytes) -> Change:
    """Return what one request changed. Encoded values are compared, since `True == 1`.

    Args:
        base: the data it had loaded, encoded.
        mine: the data it wants to store, encoded.
    """
    before, after = _decode_parts(base), _decode_parts(mine)
    removed = dict.fromkeys(key for key in before if key not in after)
    return removed | {key: value for key, value in after.items() if before.get(key) != value}


def with_changes(stored: bytes, changes: Iterable[Change]) -> bytes:
    """Return the encoded data `stored` with changes made one after the other; what they do not name stays as it is."""
    parts = _decode_parts(stored)
    for change in changes:
        for key, value in change.items():
            if value is None:
                parts.pop(key, None)
            else:
                parts[key] = value
    return _encode(parts)


def rebase(write: Write, current: bytes, codec: Codec, lifetime: Lifetime) -> Write | None:
    """Return the same change on top of the document `current`; None if that one is corrupt, and for a touch.

    Raises:
        SessionTooLarge: the merged document exceeds the limit.
    """
    envelope = None if write.base is None else codec.decode(current)
    if write.base is None or envelope is None:
        return None
    data = with_changes(codec.data_of(current), [changes_between(write.base, write.mine)])
    swap = _aim(
        write.swap.key, current, envelope, data, write.slide_to, about=write.about, codec=codec, lifetime=lifetime
    )
    return replace(write, swap=swap, data=data)


def _aim(
    key: str,
    expected: bytes,
    envelope: Envelope,
    data: bytes,
    slide_to: float | None,
    *,
    about: AboutChange,
    codec: Codec,
    lifetime: Lifetime,
) -> Swap:
    """Return the swap that puts `data` in place of the document `expected`, which `envelope` is, opened."""
    envelope, document = codec.remake(envelope, data=data, last_seen_at=slide_to, about=about)
    if data == EMPTY_DATA:
        return Swap(key, expected, NO_DOCUMENT, KEEP_TTL)
    ttl_ms = KEEP_TTL
    if slide_to is not None:
        if envelope.about is not None:
            lifetime = lifetime.of_session(envelope.about.max_age)
        ttl_ms = lifetime.ttl_ms(envelope.created_at, envelope.last_seen_at, slide_to)
    return Swap(key, expected, document, ttl_ms)


class Folded(NamedTuple):
    """Several writes of one key as one swap.

    Attributes:
        swap: what to send; None if nothing is left to send.
        members: positions of the writes that share its reply.
        losers: positions of touches that another write made pointless, and writes that do not fit, with the answer.
    """

    swap: Swap | None
    members: Sequence[int]
    losers: Mapping[int, Written | SessionTooLarge]


def fold(writes: Sequence[Write], current: bytes | None, codec: Codec, lifetime: Lifetime) -> Folded:
    """Fold writes of one key, in the order they came.

    A touch never changes what another request wrote, so it yields to any write, and a second touch to the first.

    Args:
        writes: at least one.
        current: the document that stands, as far as is known; None: what the first of them has loaded.
        codec: opens and remakes documents.
        lifetime: gives their time to live.
    """
    changing = [index for index, write in enumerate(writes) if write.base is not None]
    if not changing:
        return _fold_touches(writes, current)
    first = writes[changing[0]]
    expected = first.swap.expected if current is None else current
    losers: dict[int, Written | SessionTooLarge] = {
        index: Written(False, expected) for index, write in enumerate(writes) if write.base is None
    }
    if len(changing) == 1 and first.swap.expected == expected:
        return Folded(first.swap, changing, losers)
    envelope = codec.decode(expected)
    if envelope is None:
        return Folded(None, [], {index: Written(False, None) for index in range(len(writes))})
    changes = [changes_between(writes[index].base or EMPTY_DATA, writes[index].mine) for index in changing]
    slides = [writes[index].slide_to for index in changing]
    stored = codec.data_of(expected)

    def aim(chosen: Sequence[int]) -> Swap:
        data = with_changes(stored, [changes[each] for each in chosen])
        slide_to = max((at for each in chosen if (at := slides[each]) is not None), default=None)
        about = {name: value for each in chosen for name, value in writes[changing[each]].about.items()}
        return _aim(first.swap.key, expected, envelope, data, slide_to, about=about, codec=codec, lifetime=lifetime)

    with contextlib.suppress(SessionTooLarge):
        return Folded(aim(range(len(changing))), changing, losers)
    swap: Swap | None = None
    fitting: list[int] = []
    for each, index in enumerate(changing):
        try:
            swap = aim([*fitting, each])
        except SessionTooLarge as error:
            losers[index] = error
        else:
            fitting.append(each)
    return Folded(swap, [changing[each] for each in fitting], losers)


def _fold_touches(writes: Sequence[Write], current: bytes | None) -> Folded:
    """One touch is enough, and only of what it has loaded."""
    first = next((index for index, write in enumerate(writes) if current in (None, write.swap.expected)), None)
    losers = {
        index: Written(False, current or write.swap.expected) for index, write in enumerate(writes) if index != first
    }
    return Folded(None, [], losers) if first is None else Folded(writes[first].swap, [first], losers)
