"""Old sessions in signed cookies. Nothing ends such a cookie but its age: see `until`."""

from base64 import b64decode
from typing import Any

from itsdangerous import BadSignature, TimestampSigner

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.predecessor import Data, Predecessor
from chirp.migration.documents import read_object, without_metadata

STARSESSIONS_UNLIMITED = 3600 * 24 * 30 * 12  # seconds that its CookieStore takes for lifetime=0


class StarletteCookies(Predecessor):
    """The cookies of Starlette's `SessionMiddleware`, which is FastAPI's as well.

    Args:
        secret_key: of the old middleware; text or Starlette's `Secret`.
        cookie_name: its `session_cookie`.
        max_age: its `max_age`, in seconds; None: its cookies never expire.
        options: see `Predecessor`.

    Raises:
        ConfigurationError: a value that cannot work.
    """

    def __init__(
        self, secret_key: Any, cookie_name: str = "session", max_age: int | None = 14 * 86400, **options: Any
    ) -> None:
        super().__init__(cookie_name, **options)
        if not str(secret_key or ""):
            raise ConfigurationError("secret_key: must be the one that the old sessions were signed with")
        if max_age is not None and (isinstance(max_age, bool) or not isinstance(max_age, int) or max_age < 1):
            raise ConfigurationError(f"max_age={max_age!r}: must be a whole number of seconds, 1 or more, or None")
        self._signer = TimestampSigner(str(secret_key))
        self._max_age = max_age

    async def read(self, value: str) -> Data | None:
        try:
            signed = self._signer.unsign(value, max_age=self._max_age)
            return read_object(b64decode(signed))
        except (BadSignature, ValueError):  # ValueError: text that is no Base64, or that UTF-8 cannot encode
            return None


class StarsessionsCookies(StarletteCookies):
    """The cookies of starsessions' `CookieStore` with its `JsonSerializer`.

    Args:
        secret_key: of the old store.
        cookie_name: of the old middleware.
        lifetime: of the old middleware, in seconds; 0: until the browser is closed, as there.
        options: see `Predecessor`.

    Raises:
        ConfigurationError: a value that cannot work.
    """

    def __init__(self, secret_key: Any, cookie_name: str = "session", lifetime: int = 0, **options: Any) -> None:
        super().__init__(secret_key, cookie_name, lifetime or STARSESSIONS_UNLIMITED, **options)

    async def read(self, value: str) -> Data | None:
        return without_metadata(await super().read(value))
