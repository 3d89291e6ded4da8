"""Session ids: mint, check, hash. Pure functions; no clock, no I/O.

An id is 256 random bits (OWASP's Session Management Cheat Sheet asks for at least 64), written as
43 characters of URL-safe base64. The store never sees it: what it is given is the hash.
"""

import hashlib
import re
import secrets

ID_PATTERN = r"[A-Za-z0-9_-]{43}"
HASH_DIGITS = 64
NAME_DIGITS = 12

_handle = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch
_well_formed = re.compile(ID_PATTERN, re.ASCII).fullmatch


def mint() -> str:
    """Return a new id that nobody knows yet."""
    return secrets.token_urlsafe(32)


def mint_handle() -> str:
    """Return a new public name of a session: 96 random bits as 16 URL-safe characters."""
    return secrets.token_urlsafe(12)


def is_handle(text: str) -> bool:
    """Tell whether `text` could be a handle; anything else might not be safe to show and to log."""
    return _handle(text) is not None


def is_well_formed(text: str) -> bool:
    """Tell whether `text` could be an id."""
    return _well_formed(text) is not None


def hash_id(session_id: str) -> str:
    """Return the SHA-256 of the id as 64 hexadecimal digits.

    The input has 256 bits of entropy, so a plain hash cannot be searched and needs no salt or stretching.
    """
    return hashlib.sha256(session_id.encode("ascii")).hexdigest()


def name_of(key: str) -> str:
    """Return a session's name for logs and traces: the first digits of the hash that its key ends with.

    No id can be found from it.
    """
    return key[-HASH_DIGITS:][:NAME_DIGITS]
