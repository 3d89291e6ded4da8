"""The proof that what comes back of a session is what went in. No clock, no I/O."""

import json
from typing import Any

import msgspec

from chirp.errors import SessionNotSerializable

CONTAINERS = frozenset({dict, list})  # of what has been decoded; it has no subclasses of them
DEEPEST_NESTING = 200  # far below the interpreter's recursion limit, at any depth of the caller's own stack
DEEPEST_PATH = 8

_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder().decode
_decode_data = msgspec.json.Decoder(dict[str, Any]).decode


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
            faithful = faithful and not too_deep(data, decoded)
    except Exception as error:
        raise unfaithful(session) from error
    if not faithful:
        raise unfaithful(session)


def too_deep(encoded: bytes, decoded: object) -> bool:
    """Tell whether a value is nested deeper than what may be stored."""
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
        return bool(decoded == value) and not too_deep(data, [decoded])
    except Exception:  # noqa: BLE001 - comparing runs the values' own code, and whatever it raises means no
        return False


def unfaithful(session: dict[str, Any]) -> SessionNotSerializable:
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
