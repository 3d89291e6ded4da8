"""One cookie: find it in a header, write it, delete it. Text in, text out; no clock, no I/O.

RFC 6265bis is the source of the rules here.
"""

import re
from collections.abc import Iterable
from enum import Enum

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.about import About
from chirp.middleware.sessions.config import SessionConfig

LARGEST_COOKIE = 4096  # RFC 6265bis, section 5.6: name and value together; browsers drop a larger one silently


class CookieChange(Enum):
    """What a `Set-Cookie` does to the browser's cookie."""

    NEW = "new"
    SLIDE = "slide"
    DELETE = "delete"


class SetCookie:
    """One `Set-Cookie` header value and what it does.

    Attributes:
        header: the value of the header.
        change: what it does; a mere slide needs less care with caches than the other two.
    """

    __slots__ = ("change", "header")

    def __init__(self, header: str, change: CookieChange) -> None:
        self.header: str = header
        self.change: CookieChange = change


class CookieReader:
    """Finds the last well-formed value of one cookie, without parsing the others.

    Args:
        name: the cookie's name.
        value_pattern: regular expression of a well-formed value; it must not match ";" or white space.
    """

    def __init__(self, name: str, value_pattern: str) -> None:
        self._matches = re.compile(value_pattern, re.ASCII).fullmatch
        # From the right, so that the last well-formed one is found; each semicolon is tried once, which keeps it
        # linear in the header's length whatever a client sends.
        text = rf"(?s:.*;)?[ \t]*{re.escape(name)}=({value_pattern})(?=[ \t]*(?:;|\Z))"
        self._find_last = re.compile(text.encode("ascii")).match

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Return the value from ASGI headers (lower-case names), or None when there is none well-formed."""
        found = None
        for name, value in headers:
            if name == b"cookie":  # HTTP/2 may split the cookies over several headers
                found = self._find_last(value) or found
        return None if found is None else found[1].decode("ascii")

    def check(self, value: str | None) -> str | None:
        """Return a value that others have parsed, or None if it is not well-formed."""
        return value if value is not None and self._matches(value) else None


class CookieWriter:
    """Writes one cookie with the configured attributes; a deletion carries the same ones, or browsers ignore it."""

    def __init__(self, config: SessionConfig) -> None:
        self._name = config.cookie_name
        self._secure = config.secure
        attributes = [f"Path={config.path}"]
        if config.domain is not None:
            attributes.append(f"Domain={config.domain}")
        if config.httponly:
            attributes.append("HttpOnly")
        attributes.append(f"SameSite={config.samesite.capitalize()}")
        if config.partitioned:
            attributes.append("Partitioned")
        self._common = "; ".join(attributes)
        self._max_age = config.max_age
        self._live = f"; Max-Age={config.max_age}; {self._common}"
        self._dead = f'{self._name}=""; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; {self._common}'

    def write(self, value: str, change: CookieChange, *, https: bool | None, about: About | None = None) -> SetCookie:
        """Return the header that sets the cookie to `value`.

        Args:
            value: the cookie's value, already well-formed.
            change: NEW or SLIDE.
            https: how the request came; None where that is not known, which counts as https.
            about: of the session; None: its cookie has the config's Max-Age.

        Raises:
            SessionTooLarge: name and value exceed 4096 bytes together.
        """
        size = len(self._name) + len(value)
        if size > LARGEST_COOKIE:
            raise SessionTooLarge(
                f"the session cookie has {size} bytes: browsers drop more than {LARGEST_COOKIE} silently; "
                "store less in the session, or keep sessions in Redis",
                size=size,
                limit=LARGEST_COOKIE,
            )
        attributes = self._live if about is None else self._attributes(about)
        return SetCookie(f"{self._name}={value}{attributes}{self._secure_flag(https)}", change)

    def delete(self, *, https: bool | None) -> SetCookie:
        """Return the header that deletes the cookie."""
        return SetCookie(self._dead + self._secure_flag(https), CookieChange.DELETE)

    def _attributes(self, about: About) -> str:
        if not about.persistent:
            return f"; {self._common}"
        return f"; Max-Age={about.max_age or self._max_age}; {self._common}"

    def _secure_flag(self, https: bool | None) -> str:
        secure = self._secure if self._secure != "auto" else https is not False
        return "; Secure" if secure else ""
