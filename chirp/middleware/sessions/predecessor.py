"""What had the sessions before: the contract of `SessionConfig.predecessors`. No clock, no I/O."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, TypeAlias

from chirp.errors import ConfigurationError

Data: TypeAlias = dict[str, Any]
Convert: TypeAlias = Callable[[Data], Data | Awaitable[Data | None] | None]


class Moment(Protocol):
    """A `datetime.datetime`."""

    def timestamp(self) -> float:
        """Return Unix seconds."""
        ...


class Predecessor(ABC):
    """Sessions of the library that an app used before; derive from it for one that is not built in.

    Args:
        cookie_name: of the old cookie.
        path: of the old cookie; a deletion with another one is ignored by browsers.
        domain: of the old cookie, likewise; None: it had none.
        samesite: of the old cookie. With "none" its deletion has to be Secure.
        partitioned: whether the old cookie was; needs `samesite="none"`.
        until: a `datetime` or Unix seconds, after which nothing is taken over any more; None: never. Give one: a copy
            of an old signed cookie that somebody kept signs them in for as long as the old app would have let it.
        convert: takes the old data and returns what the new session is to hold, or None to take over nothing; sync and
            quick, or async. None: the data as it is. What it raises is raised.

    Raises:
        ConfigurationError: a value that cannot work.
    """

    def __init__(
        self,
        cookie_name: str,
        *,
        path: str = "/",
        domain: str | None = None,
        samesite: Literal["lax", "strict", "none"] = "lax",
        partitioned: bool = False,
        until: float | Moment | None = None,
        convert: Convert | None = None,
    ) -> None:
        for name, text in (("cookie_name", cookie_name), ("path", path), ("domain", domain or "")):
            if not isinstance(text, str) or not text.isascii() or not text.isprintable() or ";" in text:
                raise ConfigurationError(f'{name}={text!r}: must be printable ASCII without ";"')
        if not cookie_name or "=" in cookie_name or " " in cookie_name:
            raise ConfigurationError(f'cookie_name={cookie_name!r}: must be a name without "=" and spaces')
        if samesite not in ("lax", "strict", "none"):
            raise ConfigurationError(f'samesite={samesite!r}: must be "lax", "strict" or "none"')
        if partitioned and samesite != "none":
            raise ConfigurationError(f'samesite={samesite!r}: must be "none" with partitioned=True')
        if convert is not None and not callable(convert):
            raise ConfigurationError(f"convert={convert!r}: must be a function that takes the old data")
        self.cookie_name = cookie_name
        self._until = _seconds(until)
        self._convert = convert
        attributes = [f"Path={path}", *([f"Domain={domain}"] if domain else []), "HttpOnly"]
        attributes.append(f"SameSite={samesite.capitalize()}")
        if partitioned:
            attributes.append("Partitioned")
        self._deletion = f'{cookie_name}=""; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; {"; ".join(attributes)}'
        self._always_secure = samesite == "none" or cookie_name.lower().startswith(("__host-", "__secure-"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: cookie {self.cookie_name}>"

    @abstractmethod
    async def read(self, value: str) -> Data | None:
        """Return the data that the old library would have found.

        Args:
            value: of the old cookie, as a client sent it.

        Returns:
            None for what is absent, expired, forged or corrupt. Never for an outage.

        Raises:
            StoreUnavailable: where the data lives did not answer in time.
        """

    async def end(self, value: str, grace_seconds: int) -> None:  # noqa: B027 - a signed cookie cannot be ended
        """Make the old session unusable, where that is possible. Called after the new one is stored.

        Args:
            value: of the old cookie.
            grace_seconds: how long requests in flight may still find it; 0 after a logout or a login.

        Raises:
            StoreUnavailable: where the data lives did not answer in time.
        """

    def is_over(self, now: float) -> bool:
        """Tell whether the time of the migration is over.

        Args:
            now: Unix seconds.
        """
        return self._until is not None and now >= self._until

    async def converted(self, data: Data) -> Data | None:
        """Return what the new session is to hold; None for nothing."""
        if self._convert is None:
            return data
        result = self._convert(data)
        return await result if inspect.isawaitable(result) else result

    def deletion(self, *, https: bool | None) -> str:
        """Return the `Set-Cookie` that deletes the old cookie.

        Args:
            https: how the request came; None where that is not known, which counts as https.
        """
        return self._deletion + ("; Secure" if self._always_secure or https is not False else "")


def _seconds(until: float | Moment | None) -> float | None:
    if until is None:
        return None
    if isinstance(until, int | float):
        seconds = float(until)
    elif hasattr(until, "timestamp"):
        seconds = until.timestamp()
    else:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ConfigurationError(f"until={until!r}: must be a datetime or Unix seconds, or None")
    return seconds
