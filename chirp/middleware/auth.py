"""Who is signed in: `login`, `logout` and `get_user`, on top of the session.

A user is signed in exactly as long as the session holds their id under its `user_key`, so ending or regenerating
the session by any other way signs them out as well.
"""

from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, Literal

from starlette.requests import Request

from chirp.errors import ConfigurationError
from chirp.middleware.calling import as_async
from chirp.middleware.protocol import SESSION_EXCLUDED, AnyResponse, Next
from chirp.middleware.sessions.current import current_session, get_session, regenerate_session
from chirp.middleware.sessions.session import Session
from chirp.middleware.streaming import keep_context

SESSION_VERSION_KEY = "session_version"
"""The session key that holds what `AuthConfig.session_version` returned at login."""


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """How users are found.

    Attributes:
        load_user: takes a user's id and returns the user, or None when there is none any more. Sync (called in a
            worker thread) or async. Asked once per request, and only if the session holds an id.
        session_version: takes a user and returns a value that changes when their sessions are to end, such as a
            counter raised with each change of password. Sync, and quick. Sessions begun under another value
            are anonymous. With a cookie store the browser can read the value, so no part of a password hash.
            None: sessions last however the user changes.

    Raises:
        ConfigurationError: one of them is not callable, or `session_version` is async.
    """

    load_user: Callable[[Any], Any]
    session_version: Callable[[Any], str | int | None] | None = None

    def __post_init__(self) -> None:
        load_user: Any = self.load_user  # not every caller has a type checker
        version_of: Any = self.session_version
        if not callable(load_user):
            raise ConfigurationError(f"load_user={load_user!r}: must be a function that takes a user's id")
        if version_of is not None and (not callable(version_of) or iscoroutinefunction(version_of)):
            raise ConfigurationError(
                f"session_version={version_of!r}: must be a plain (not async) function that takes a user, or None"
            )


@dataclass(frozen=True, slots=True)
class AnonymousUser:
    """Who `get_user()` returns when nobody is signed in."""

    id: None = field(default=None, init=False)
    is_authenticated: Literal[False] = field(default=False, init=False)


_ANONYMOUS = AnonymousUser()


@dataclass(slots=True)
class _SignIn:
    """What one request knows of its user; an object, so that worker threads and child tasks change the same one."""

    config: AuthConfig
    session: Session
    user_id: str | int | None = None
    user: Any = None


_current: ContextVar[_SignIn] = ContextVar("chirp_sign_in")


class AuthMiddleware:
    """Finds the signed-in user of each request. Added after `SessionMiddleware`, so that it runs inside it."""

    def __init__(self, config: AuthConfig) -> None:
        """Make the middleware; it owns nothing that needs closing."""
        self._config = config
        self._load_user = as_async(config.load_user)

    async def __call__(self, request: Request, following: Next) -> AnyResponse:
        """Answer the request with its user known to `get_user()`, also while the response is sent.

        On paths that are excluded from sessions there is no user, as there is no session.

        Raises:
            ConfigurationError: there is no session middleware around this one.
        """
        session = current_session.get(None)
        if session is None:
            if request.scope.get(SESSION_EXCLUDED):
                return await following(request)
            raise ConfigurationError(
                "AuthMiddleware found no session: add SessionMiddleware before it (the first added is outermost)"
            )
        sign_in = _SignIn(self._config, session)
        if session.user_id is not None:
            await self._find(sign_in)
        token = _current.set(sign_in)
        try:
            response = await following(request)
        finally:
            _current.reset(token)
        return keep_context(response, _current, sign_in)

    async def _find(self, sign_in: _SignIn) -> None:
        user_id = sign_in.session.user_id
        if not isinstance(user_id, str | int):
            return  # nothing that `login` stores
        user = await self._load_user(user_id)
        if user is None:
            return
        version_of = self._config.session_version
        if version_of is not None and version_of(user) != dict.get(sign_in.session, SESSION_VERSION_KEY):
            return
        sign_in.user_id, sign_in.user = user_id, user


def get_user() -> Any:
    """Return the signed-in user as `load_user` gave it, or else an `AnonymousUser`.

    Raises:
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
    """
    sign_in = _sign_in()
    sign_in.session.mark_accessed()
    if sign_in.user is None or sign_in.session.user_id != sign_in.user_id:
        return _ANONYMOUS
    return sign_in.user


def login(user: Any, keep: Collection[str] = ()) -> None:
    """Sign a user in, in a new session under a new id; the old id is dead and its data gone.

    Args:
        user: an object with an `id`, or a mapping with an `"id"`. The id is text or an integer.
        keep: session keys to carry over, such as a cart. Absent ones are ignored.

    Raises:
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
        SessionClosed: the response has started.
        TypeError: the user has no such id, or `keep` is a single str. The session is as it was.
    """
    sign_in = _sign_in()
    if isinstance(keep, str):
        raise TypeError(f"keep={keep!r}: must be a tuple of session keys, such as ({keep!r},)")
    user_id = _id_of(user)
    version_of = sign_in.config.session_version
    version = None if version_of is None else version_of(user)
    before = get_session()
    data = {key: before[key] for key in keep if key in before}
    if version_of is not None:
        data[SESSION_VERSION_KEY] = version
    session = regenerate_session()
    session.update({**data, session.user_key: user_id})
    sign_in.user_id, sign_in.user = user_id, user


def logout() -> None:
    """Sign the user out: the session's data is gone and its id is dead.

    Raises:
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
        SessionClosed: the response has started.
    """
    _sign_in()
    regenerate_session()


def _sign_in() -> _SignIn:
    try:
        return _current.get()
    except LookupError:
        raise LookupError(
            "there is no user here: outside a request, on a path in exclude_paths, or AuthMiddleware was not added"
        ) from None


def _id_of(user: Any) -> str | int:
    user_id = user.get("id") if isinstance(user, Mapping) else getattr(user, "id", None)
    if not isinstance(user_id, str | int):
        raise TypeError(
            f"login() got a {type(user).__name__} whose id is a {type(user_id).__name__}; it needs an object with an "
            'attribute id, or a mapping with a key "id", that is a str or an int'
        )
    return user_id
