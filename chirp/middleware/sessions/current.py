"""The session of the current request, and new ids for it: from sync and async handlers, and from child tasks."""

from contextvars import ContextVar

from chirp.middleware.sessions.session import Session

current_session: ContextVar[Session] = ContextVar("chirp_session")


def get_session() -> Session:
    """Return the session of the current request.

    Raises:
        LookupError: there is no request, or its path is excluded from sessions.
    """
    session = _current()
    session.accessed = True
    return session


def regenerate_session() -> Session:
    """Give the request a new session under a new id: the data is gone and the old id is dead.

    Call it whenever privileges change, before storing who signed in. Works from worker threads and child tasks.

    Returns:
        The same object as `get_session()`, emptied.

    Raises:
        LookupError: there is no request, or its path is excluded from sessions.
        SessionClosed: the response has started.
    """
    session = _current()
    session._regenerate()
    return session


def rotate_session(*, follow: bool = False) -> Session:
    """Give the request's session a new id and keep its data, its handle and its age; the old id is dead.

    Args:
        follow: let requests that are in flight with the old id reach the session for `rotation_grace_seconds` (through
            four renewals in a row at most), and renew it once if several of them ask. Right for periodic renewal, wrong
            at any change of privilege: whoever knows the old id follows as well. Where the value under `user_key`
            changes, it has no effect.

    Raises:
        LookupError: there is no request, or its path is excluded from sessions.
        SessionClosed: the response has started.
    """
    session = _current()
    session._rotate(follow=follow)
    return session


def _current() -> Session:
    try:
        return current_session.get()
    except LookupError:
        raise LookupError(
            "there is no session here: outside a request, on a path in exclude_paths, or without SessionMiddleware "
            "or ASGISessionMiddleware around the app"
        ) from None
