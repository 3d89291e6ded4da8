"""Sessions as bytes and back, and the proof that what comes back is what went in. No clock, no I/O.

A stored value is one of two things, told apart by its first byte:

- a **document**, one JSON object (the envelope): the two time stamps under their configured names, `handle`,
  and `data` with what the handler stored. JSON semantics hold.
- a **tombstone**, where a session has ended: `dead`, `moved HASH` after a rotation, or `follow HASH` after a
  rotation that requests in flight may follow. HASH is the hash of the successor's id.

Everything else under a session key is corrupt or foreign, and leads to an anonymous session.
"""

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec.structs import replace

from chirp.errors import SessionNotSerializable, SessionTooLarge
from chirp.middleware.sessions.config import SessionConfig

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY_DATA = b"{}"
OPENING = ord("{")
CONTAINERS = frozenset({dict, list})  # of what has been decoded; it has no subclasses of them
DEEPEST_NESTING = 200  # far below the interpreter's recursion limit, at any depth of the caller's own stack
DEEPEST_PATH = 8
LARGEST_STAMP = 1e11  # Unix seconds, the year 5138; beyond it arithmetic on a corrupt stamp could overflow

Stamp: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=LARGEST_STAMP)]

_tombstone = re.compile(rb"dead|(moved|follow) ([0-9a-f]{64})").fullmatch

_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode
_decode_data = msgspec.json.Decoder(dict[str, Any]).decode


class Envelope(msgspec.Struct):
    """A stored document, opened. Its handle is any text that somebody may have put there."""

    created_at: float
    last_seen_at: float
    handle: str
    data: Any


class Tombstone(msgspec.Struct, frozen=True):
    """What stands where a session has ended.

    Attributes:
        successor: hash of the id that the session moved to, if it was rotated.
        follow: whether requests in flight may read and write through to the successor.
    """

    successor: str | None = None
    follow: bool = False


def is_document(value: bytes) -> bool:
    """Tell a document from a tombstone by the first byte; it may still turn out to be corrupt."""
    return value[:1] == b"{"


def write_tombstone(tombstone: Tombstone) -> bytes:
    if tombstone.successor is None:
        return b"dead"
    return f"{'follow' if tombstone.follow else 'moved'} {tombstone.successor}".encode("ascii")


def read_tombstone(value: bytes) -> Tombstone | None:
    """Return the tombstone, or None if `value` is anything else."""
    match = _tombstone(value)
    if match is None:
        return None
    kind, successor = match.groups()
    return Tombstone() if successor is None else Tombstone(successor.decode("ascii"), kind == b"follow")


def encode_user(user_id: object) -> bytes | None:
    """Return what a user is found by: the value under the user key, encoded, so that 1 and "1" differ; None for None.

    Raises:
        SessionNotSerializable: no session can have this user.
    """
    return None if user_id is None else encode_data({"user": user_id})


def decode_data(data: bytes | msgspec.Raw) -> dict[str, Any]:
    """Return what `data` holds; it must come from `Codec.decode` or `Codec.encode_data`."""
    return _decode_data(data)


class Codec:
    """Documents as one configuration wants them.

    Args:
        config: gives the names of the stamps, the user key and the size limit.
    """

    def __init__(self, config: SessionConfig) -> None:
        self._max_bytes = config.max_bytes
        self._envelope = _envelope(config, dict[str, Any])
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(self._envelope).decode
        self._decode_raw: Callable[[bytes], Any] = msgspec.json.Decoder(_envelope(config, msgspec.Raw)).decode
        user_alone = msgspec.defstruct(
            "UserAlone", [("user", msgspec.Raw, msgspec.Raw(b""))], rename={"user": config.user_key}.get, gc=False
        )
        self._decode_user: Callable[[bytes], Any] = msgspec.json.Decoder(user_alone).decode

    def decode(self, document: bytes) -> Envelope | None:
        """Open a document.

        Returns:
            The envelope, its data decoded; None if the document is corrupt.
        """
        try:
            envelope: Envelope = self._decode(document)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if document[0] != OPENING:  # white space first, so that the end of a session would not know it
            return None
        # Short documents have no room for so many brackets, and most are short.
        if len(document) > 2 * DEEPEST_NESTING and _too_deep(document, envelope.data):
            return None
        return envelope

    def data_of(self, document: bytes) -> bytes:
        """Return the data of a document as it stands there; `decode` must have opened it."""
        return bytes(self._decode_raw(document).data)

    def user_differs(self, left: bytes, right: bytes) -> bool:
        """Tell whether the user key has another value, or is in one of the two only. `True` is not 1."""
        one, other = self._decode_user(left).user, self._decode_user(right).user
        if one == other:
            return False
        if not (one and other):
            return True
        # As this codec spells them: another program may write "\u0061" for "a", which is no other user.
        return _encode(_decode_any(one)) != _encode(_decode_any(other))

    def owner_of(self, document: bytes) -> tuple[str, bytes | None]:
        """Return the handle and the user of a document, the user as `encode_user` gives it; None where it has none.

        Args:
            document: `decode` must have opened it.
        """
        envelope = self._decode_raw(document)
        user = self._decode_user(envelope.data).user
        return envelope.handle, encode_user(_decode_any(user)) if user else None

    def replace_data(self, document: bytes, old: bytes, new: bytes) -> bytes:
        """Return the document with other data, and all else as it stands.

        Args:
            document: `decode` must have opened it.
            old: its data, as `data_of` gives it.
            new: encoded.

        Raises:
            SessionTooLarge: it exceeds `max_bytes`.
        """
        end = b'"data":' + old + b"}"
        if document.endswith(end):  # as this codec writes it
            return self._fitting(document[: -len(old) - 1] + new + b"}")
        envelope = self._decode_raw(document)
        return self.encode(
            created_at=envelope.created_at, last_seen_at=envelope.last_seen_at, handle=envelope.handle, data=new
        )

    def encode(self, *, created_at: float, last_seen_at: float, handle: str, data: bytes) -> bytes:
        """Return the document.

        Raises:
            SessionTooLarge: it exceeds `max_bytes`.
        """
        return self._fitting(self.encode_touched(created_at, last_seen_at, handle, data))

    def encode_touched(self, created_at: float, last_seen_at: float, handle: str, data: bytes) -> bytes:
        """Return the document of a request that changes no data, however large others have made it."""
        return _encode(self._envelope(created_at, last_seen_at, handle, msgspec.Raw(data)))

    def _fitting(self, document: bytes) -> bytes:
        if len(document) > self._max_bytes:
            raise SessionTooLarge(
                f"the session takes {len(document)} bytes: max_bytes is {self._max_bytes}; "
                "store less in it, or raise SessionConfig.max_bytes",
                size=len(document),
                limit=self._max_bytes,
            )
        return document

    def remake(self, envelope: Envelope, *, data: bytes, last_seen_at: float | None) -> tuple[Envelope, bytes]:
        """Return a document, opened and as bytes, with other data, and with `last_seen_at` raised if one is given.

        Raises:
            SessionTooLarge: the new document exceeds `max_bytes`.
        """
        if last_seen_at is not None:
            envelope = replace(envelope, last_seen_at=max(envelope.last_seen_at, last_seen_at))
        return envelope, self.encode(
            created_at=envelope.created_at,
            last_seen_at=envelope.last_seen_at,
            handle=envelope.handle,
            data=data,
        )


def _envelope(config: SessionConfig, data: Any) -> Any:
    """Return the type of a configuration's documents, with `data` as the type of their data."""
    return msgspec.defstruct(
        "NamedEnvelope",
        [("created_at", Stamp), ("last_seen_at", Stamp), ("handle", str), ("data", data)],
        bases=(Envelope,),  # for its type alone: only fields defined anew take the configured names
        gc=False,  # nothing refers back to it, so it is in no cycle
        rename={"created_at": config.created_at_key, "last_seen_at": config.last_seen_at_key}.get,
    )


def encode_data(session: dict[str, Any]) -> bytes:
    """Encode what a handler stored.

    Raises:
        SessionNotSerializable: something in it has no JSON form.
    """
    try:
        return _encode(session)
    except Exception as error:
        raise _unfaithful(session) from error


def check_faithful(session: dict[str, Any], data: bytes, *, nested: bool = True) -> None:
    """Prove that `data`, the encoded `session`, comes back equal.

    Args:
        session: what was encoded.
        data: what came of it.
        nested: False where it is nested no deeper than a document that has been opened.

    Raises:
        SessionNotSerializable: a value would come back as another one, or is nested too deeply.
    """
    try:
        decoded = _decode_data(data)
        faithful = dict.__eq__(decoded, session)  # not what a subclass makes of `==`
        if nested:
            faithful = faithful and not _too_deep(data, decoded)
    except Exception as error:
        raise _unfaithful(session) from error
    if not faithful:
        raise _unfaithful(session)


def _too_deep(encoded: bytes, decoded: object) -> bool:
    # At no place are more containers open than begin before it, or than end after it. Brackets inside of text count as
    # well, which can only make it look deeper.
    middle = len(encoded) // 2
    begun = encoded.count(b"{", 0, middle) + encoded.count(b"[", 0, middle)
    if begun <= DEEPEST_NESTING and encoded.count(b"}", middle) + encoded.count(b"]", middle) <= DEEPEST_NESTING:
        return False
    level = [decoded]
    for _ in range(DEEPEST_NESTING):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)  # type: ignore[attr-defined]
            if type(child) in CONTAINERS
        ]
        if not level:
            return False
    return True


def _returns_equal(value: object) -> bool:
    try:
        data = _encode(value)
        decoded = _decode_any(data)
        return bool(decoded == value) and not _too_deep(data, [decoded])
    except Exception:  # noqa: BLE001 - comparing runs the values' own code, and whatever it raises means no
        return False


def _unfaithful(session: dict[str, Any]) -> SessionNotSerializable:
    """Name the innermost value that does not come back; only types are told, since values may be secret."""
    path: str = "session"
    value: Any = session
    for _ in range(DEEPEST_PATH):
        steps: Any
        if isinstance(value, dict):
            strange = [key for key in value if not isinstance(key, str) or not _returns_equal(key)]
            if strange:
                kind = type(strange[0]).__name__
                reason = f"a key of type {kind} does not come back as it is; use plain text as keys"
                return SessionNotSerializable(f"{path}: {reason}", path=path)
            steps = value.items()
        elif isinstance(value, list):
            steps = enumerate(value)
        else:
            break
        culprit = next(((key, child) for key, child in steps if not _returns_equal(child)), None)
        if culprit is None:
            break
        key, value = culprit
        path += f"[{json.dumps(key[:64] if isinstance(key, str) else key)}]"
    reason = (
        f"a {type(value).__name__} nested more than {DEEPEST_NESTING} levels deep, or with such a value inside,"
        if isinstance(value, dict | list)
        else f"a value of type {type(value).__name__}"
    )
    return SessionNotSerializable(
        f"{path}: {reason} does not come back from JSON as it is; store text, numbers, lists and dicts", path=path
    )
