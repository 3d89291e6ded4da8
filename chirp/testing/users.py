"""Who is signed in, as a test wants it."""

from typing import Any

from chirp.middleware.sessions.session import DEFAULT_USER_KEY, Session
from chirp.middleware.sign_in import AuthConfig, SignIn, id_of


def signed_in(user: Any, auth: AuthConfig, *, user_key: str = DEFAULT_USER_KEY) -> dict[str, Any]:
    """Return what a session holds after `login(user)`: who it is, when they proved it, and their session's version.

    Args:
        user: an object with an `id`, or a mapping with an `"id"`, as `login` takes it.
        auth: the app's; its clock says when.
        user_key: the config's.

    Raises:
        TypeError: the user has no such id.
    """
    user_id = id_of(user, "signed_in")
    return {**SignIn(auth, Session()).proof_of(user), user_key: user_id}
