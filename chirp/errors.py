"""Every error of this package, as one tree rooted in `ChirpError`.

Messages name the field or path, the value, the limit and the remedy, and never a secret or a session id.
"""

__all__ = [
    "ChirpError",
    "ConfigurationError",
    "SessionClosed",
    "SessionError",
    "SessionLimitReached",
    "SessionNotSerializable",
    "SessionTooLarge",
    "StoreUnavailable",
]


class ChirpError(Exception):
    """The root of everything this package raises on purpose."""


class ConfigurationError(ChirpError):
    """A setting cannot work; raised where it is given, which for most is at construction, before the first request."""


class SessionError(ChirpError):
    """Something about one session or its store."""


class StoreUnavailable(SessionError):
    """The store did not do what was asked within its deadline.

    Nothing was acknowledged. What was asked either did not happen, or happened wholly and only the
    acknowledgement was lost. The cause, where there is one, is chained.

    Attributes:
        session: the session as logs name it, by a piece of its key's hash; None where it has no key or is not known.
    """

    session: str | None = None


class SessionTooLarge(SessionError):
    """The session does not fit; nothing was written and the stored session is as it was.

    Attributes:
        size: bytes that would have to be stored or sent.
        limit: bytes that are allowed.
    """

    def __init__(self, message: str, *, size: int, limit: int) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class SessionNotSerializable(SessionError):
    """A value would not come back from the store as it went in; nothing was written.

    Attributes:
        path: where the value is, such as `session["cart"][2]`.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class SessionLimitReached(SessionError):
    """A user has as many sessions as `max_sessions_per_user` allows, and new ones are refused.

    Nothing was written; only where several logins met, the session that the browser had may have ended.

    Attributes:
        limit: sessions that a user may have at once.
    """

    def __init__(self, message: str, *, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class SessionClosed(SessionError):
    """The session was changed after the response had started, when nothing can be saved any more."""
