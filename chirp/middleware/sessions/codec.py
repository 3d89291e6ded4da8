"""Sessions as bytes and back. No clock, no I/O.

A stored value is one of two things, told apart by its first byte:

- a **document**, one JSON object (the envelope): the two time stamps under their configured names, `handle`,
  `about` where the session has a lifetime of its own or its client is recorded, and `data` with what the handler
  stored. JSON semantics hold.
- a **tombstone**, where a session has ended: `dead`, `moved HASH` after a rotation, or `follow HASH` after a
  rotation that requests in flight may follow. HASH is the hash of the successor's id.

Everything else under a session key is corrupt or foreign, and leads to an anonymous session.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec.structs import replace

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.about import About, AboutChange, changed
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.fidelity import DEEPEST_NESTING, too_deep, unfaithful

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY_DATA = b"{}"
OPENING = ord("{")
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
    about: About | None
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
        if len(document) > 2 * DEEPEST_NESTING and too_deep(document, envelope.data):
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
            created_at=envelope.created_at,
            last_seen_at=envelope.last_seen_at,
            handle=envelope.handle,
            data=new,
            about=envelope.about,
        )

    def encode(
        self, *, created_at: float, last_seen_at: float, handle: str, data: bytes, about: About | None = None
    ) -> bytes:
        """Return the document.

        Raises:
            SessionTooLarge: it exceeds `max_bytes`.
        """
        return self._fitting(self.encode_touched(created_at, last_seen_at, handle, about, data))

    def encode_touched(
        self, created_at: float, last_seen_at: float, handle: str, about: About | None, data: bytes
    ) -> bytes:
        """Return the document of a request that changes no data, however large others have made it."""
        return _encode(
            self._envelope(
                created_at=created_at,
                last_seen_at=last_seen_at,
                handle=handle,
                about=about,
                data=msgspec.Raw(data),
            )
        )

    def _fitting(self, document: bytes) -> bytes:
        if len(document) > self._max_bytes:
            raise SessionTooLarge(
                f"the session takes {len(document)} bytes: max_bytes is {self._max_bytes}; "
                "store less in it, or raise SessionConfig.max_bytes",
                size=len(document),
                limit=self._max_bytes,
            )
        return document

    def remake(
        self, envelope: Envelope, *, data: bytes, last_seen_at: float | None, about: AboutChange
    ) -> tuple[Envelope, bytes]:
        """Return a document, opened and as bytes, with other data.

        Args:
            envelope: the document as it was, opened.
            data: encoded.
            last_seen_at: raised to this one; None leaves all but the data as it is.
            about: what changes beside it, if `last_seen_at` is raised.

        Raises:
            SessionTooLarge: the new document exceeds `max_bytes`.
        """
        if last_seen_at is not None:
            seen = max(envelope.last_seen_at, last_seen_at)
            envelope = replace(envelope, last_seen_at=seen, about=changed(envelope.about, about))
        return envelope, self.encode(
            created_at=envelope.created_at,
            last_seen_at=envelope.last_seen_at,
            handle=envelope.handle,
            data=data,
            about=envelope.about,
        )


def _envelope(config: SessionConfig, data: Any) -> Any:
    """Return the type of a configuration's documents, with `data` as the type of their data."""
    return msgspec.defstruct(
        "NamedEnvelope",
        [
            ("created_at", Stamp),
            ("last_seen_at", Stamp),
            ("handle", str),
            ("about", About | None, None),
            ("data", data),  # last, where `replace_data` looks for it
        ],
        bases=(Envelope,),  # for its type alone: only fields defined anew take the configured names
        gc=False,  # nothing refers back to it, so it is in no cycle
        kw_only=True,
        omit_defaults=True,
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
        raise unfaithful(session) from error
