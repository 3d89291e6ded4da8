"""What one request knows of its user, and how users are found: below `auth`, where the public names are."""

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, Literal

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.config import check_max_age
from chirp.middleware.sessions.session import Session

SESSION_VERSION_KEY = "session_version"
"""The session key that holds what `AuthConfig.session_version` returned at login."""

LOGIN_AT_KEY = "login_at"
"""The session key that holds when the user last proved who they are, in whole Unix seconds."""

LOGIN_OF_KEY = "login_of"
"""The session key that holds the id of the user who did."""


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """How users are found.

    Attributes:
        load_user: takes a user's id and returns the user, or None when there is none any more. Sync (called in a
            worker thread) or async. Asked once per request, and only if the session holds an id.
        session_version: takes a user and returns a value that changes when their sessions are to end, such as a
            counter raised with each change of password. Sync, and quick. Sessions begun under another value
            are anonymous; `confirm_login()` lets the one stay in which the password was changed. With a cookie store
            the browser can read the value, so no part of a password hash. None: sessions last however the user
            changes.
        remember_seconds: how long a session lives unseen after `login(user, remember=True)`. No longer than
            `idle_timeout_seconds` and `absolute_timeout_seconds` of the sessions' config allow.
        clock: returns Unix seconds; give your own to move time in tests.

    Raises:
        ConfigurationError: one of the functions is not callable, `session_version` is async, or `remember_seconds` is
            no whole number from 1 to 400 days.
    """

    load_user: Callable[[Any], Any]
    session_version: Callable[[Any], str | int | None] | None = None
    remember_seconds: int = field(default=30 * 86400, kw_only=True)
    clock: Callable[[], float] = field(default=time.time, kw_only=True)

    def __post_init__(self) -> None:
        load_user: Any = self.load_user  # not every caller has a type checker
        version_of: Any = self.session_version
        clock: Any = self.clock
        if not callable(load_user):
            raise ConfigurationError(f"load_user={load_user!r}: must be a function that takes a user's id")
        if version_of is not None and (not callable(version_of) or iscoroutinefunction(version_of)):
            raise ConfigurationError(
                f"session_version={version_of!r}: must be a plain (not async) function that takes a user, or None"
            )
        check_max_age("remember_seconds", self.remember_seconds)
        if not callable(clock):
            raise ConfigurationError(f"clock={clock!r}: must be a function that returns Unix seconds")


@dataclass(frozen=True, slots=True)
class AnonymousUser:
    """Who `get_user()` returns when nobody is signed in."""

    id: None = field(default=None, init=False)
    is_authenticated: Literal[False] = field(default=False, init=False)


ANONYMOUS = AnonymousUser()


@dataclass(slots=True)
class SignIn:
    """What one request knows of its user; an object, so that worker threads and child tasks change the same one."""

    config: AuthConfig
    session: Session
    user_id: str | int | None = None
    user: Any = None

    def current_user(self) -> Any:
        """Return who is signed in: the user who was found, as long as the session holds their id."""
        self.session.mark_accessed()
        if self.user is None or self.session.user_id != self.user_id:
            return ANONYMOUS
        return self.user

    def proof_of(self, user: Any) -> dict[str, Any]:
        """Return what the session is to hold once this user has proved who they are."""
        # And whose it is: an app may give the session to another user, who has proved nothing then.
        proof: dict[str, Any] = {LOGIN_AT_KEY: int(self.config.clock()), LOGIN_OF_KEY: id_of(user, "login")}
        if self.config.session_version is not None:
            proof[SESSION_VERSION_KEY] = self.config.session_version(user)
        return proof


current_sign_in: ContextVar[SignIn] = ContextVar("chirp_sign_in")


def get_sign_in() -> SignIn:
    """Return what the current request knows of its user.

    Raises:
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
    """
    try:
        return current_sign_in.get()
    except LookupError:
        raise LookupError(
            "there is no user here: outside a request, on a path in exclude_paths, or AuthMiddleware was not added"
        ) from None


def id_of(user: Any, caller: str) -> str | int:
    """Return the id of a user.

    Raises:
        TypeError: there is none, or none that could be stored; it names the function that was given the user.
    """
    user_id = user.get("id") if isinstance(user, Mapping) else getattr(user, "id", None)
    if not isinstance(user_id, str | int):
        raise TypeError(
            f"{caller}() got a {type(user).__name__} whose id is a {type(user_id).__name__}; it needs an object with "
            'an attribute id, or a mapping with a key "id", that is a str or an int'
        )
    return user_id
