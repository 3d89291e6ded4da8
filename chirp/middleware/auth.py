"""Who is signed in: `login`, `logout` and `get_user`, and who has proved it lately, on top of the session.

A user is signed in exactly as long as the session holds their id under its `user_key`, so ending or regenerating
the session by any other way signs them out as well.
"""

from collections.abc import Collection
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from chirp.errors import ConfigurationError
from chirp.middleware.calling import as_async
from chirp.middleware.protocol import SESSION_EXCLUDED, AnyResponse, Next
from chirp.middleware.sessions.current import current_session, get_session, regenerate_session, rotate_session
from chirp.middleware.sessions.typed import write_back
from chirp.middleware.sign_in import (
    ANONYMOUS,
    LOGIN_AT_KEY,
    LOGIN_OF_KEY,
    SESSION_VERSION_KEY,
    AnonymousUser,
    AuthConfig,
    SignIn,
    current_sign_in,
    get_sign_in,
    id_of,
)
from chirp.middleware.streaming import keep_context

__all__ = [
    "LOGIN_AT_KEY",
    "LOGIN_OF_KEY",
    "SESSION_VERSION_KEY",
    "AnonymousUser",
    "AuthConfig",
    "AuthMiddleware",
    "LoginRequired",
    "RecentLoginRequired",
    "confirm_login",
    "get_user",
    "login",
    "logout",
    "require_recent_login",
]

CLOCK_SKEW_SECONDS = 5  # by which the clock of the host where somebody signed in may be ahead of this one's


class LoginRequired(HTTPException):
    """Nobody is signed in: a 401, unless the app makes another response of it, such as a redirect."""

    def __init__(self) -> None:
        """Make the 401."""
        # RFC 9110, section 15.5.2: a 401 has a challenge. None is registered for cookies; browsers ignore this one.
        super().__init__(401, "Sign in first.", headers={"WWW-Authenticate": "Cookie"})


class RecentLoginRequired(LoginRequired):
    """Who is signed in has not proved it lately: a 403, unless the app makes another response of it.

    Attributes:
        seconds: how recent it has to be.
    """

    def __init__(self, seconds: float) -> None:
        """Make the 403."""
        HTTPException.__init__(self, 403, "Confirm that it is you: enter your password again.")
        self.seconds = seconds


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
        sign_in = SignIn(self._config, session)
        if session.user_id is not None:
            await self._find(sign_in)
        token = current_sign_in.set(sign_in)
        try:
            response = await following(request)
        finally:
            current_sign_in.reset(token)
        return keep_context(response, current_sign_in, sign_in)

    async def _find(self, sign_in: SignIn) -> None:
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
    return get_sign_in().current_user()


def login(user: Any, keep: Collection[str] = (), *, remember: bool | None = None) -> None:
    """Sign a user in, in a new session under a new id; the old id is dead and its data gone.

    The session holds the user's id under its `user_key`; under `LOGIN_AT_KEY` and `LOGIN_OF_KEY` when it was proved.

    Args:
        user: an object with an `id`, or a mapping with an `"id"`. The id is text or an integer.
        keep: session keys to carry over, such as a cart. Absent ones are ignored.
        remember: True: the session lives for `AuthConfig.remember_seconds` unseen, and the browser keeps its cookie as
            long. False: the cookie ends with the browser, and the session as all others do. None: as all others.

    Raises:
        ConfigurationError: `remember` is given, and the store keeps no lifetime of one session, which is as it was.
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
        SessionClosed: the response has started.
        TypeError: the user has no such id, or `keep` is a single str. The session is as it was.
    """
    sign_in = get_sign_in()
    if isinstance(keep, str):
        raise TypeError(f"keep={keep!r}: must be a tuple of session keys, such as ({keep!r},)")
    user_id = id_of(user, "login")
    proof = sign_in.proof_of(user)
    before = get_session()
    write_back(before)  # what is kept may have been changed in the session's object
    data = {key: before[key] for key in keep if key in before}
    max_age = sign_in.config.remember_seconds if remember else None
    if remember is not None:
        before.set_lifetime(max_age, persistent=remember)  # where none can be kept, this says so before anything ends
    session = regenerate_session()
    if remember is not None:
        session.set_lifetime(max_age, persistent=remember)
    session.update({**data, **proof, session.user_key: user_id})
    sign_in.user_id, sign_in.user = user_id, user


def logout() -> None:
    """Sign the user out: the session's data is gone and its id is dead.

    Raises:
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
        SessionClosed: the response has started.
    """
    get_sign_in()
    regenerate_session()


def require_recent_login(seconds: float) -> None:
    """Let only those go on who have signed in, or confirmed it, less than so many seconds ago.

    For what a session that somebody left open or has stolen must not be enough for, such as a new password, a new
    address for mail, or a payment. Who is refused enters the password again, and the app calls `confirm_login()`.

    Raises:
        LoginRequired: nobody is signed in: a 401.
        RecentLoginRequired: it was longer ago, or nobody knows when: a 403. It is a `LoginRequired` too, so that an app
            can answer both alike.
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
    """
    sign_in = get_sign_in()
    if sign_in.current_user() is ANONYMOUS:
        raise LoginRequired
    at: Any = dict.get(sign_in.session, LOGIN_AT_KEY)
    if dict.get(sign_in.session, LOGIN_OF_KEY) != sign_in.user_id:
        raise RecentLoginRequired(seconds)
    now = sign_in.config.clock()
    # Compared, not subtracted: a stored integer may be too large for that.
    if type(at) not in (int, float) or not now - seconds < at <= now + CLOCK_SKEW_SECONDS:
        raise RecentLoginRequired(seconds)


def confirm_login(user: Any = None) -> None:
    """Take note that who is signed in has just proved it again, with a password or a second factor.

    The session gets a new id, since it is worth more now, and keeps its data and its lifetime. It also takes over the
    user's `session_version` as it is now, so it stays where all others end:

        user.version += 1  # stored together with the new password
        confirm_login(user)

    Args:
        user: who is signed in, as they are now; None: as `get_user()` has them.

    Raises:
        LoginRequired: nobody is signed in: a 401.
        ValueError: `user` is somebody else, who has to `login()`.
        LookupError: there is no request, no `AuthMiddleware`, or no session on this path.
        SessionClosed: the response has started.
        TypeError: `user` has no id, as in `login`.
    """
    sign_in = get_sign_in()
    current = sign_in.current_user()
    if current is ANONYMOUS:
        raise LoginRequired
    user = current if user is None else user
    if id_of(user, "confirm_login") != sign_in.user_id:
        raise ValueError("confirm_login() got another user than the one who is signed in; call login() for that one")
    proof = sign_in.proof_of(user)
    rotate_session().update(proof)
    sign_in.user = user
