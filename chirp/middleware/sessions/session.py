"""`Session`, what its request asks of it, and which outcome that has: the rows of the end-of-request table.

Decisions are made here from facts that stores fill in; nothing here knows a store, a clock or asyncio.
"""

from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from typing import Any, assert_never

from chirp.errors import SessionClosed
from chirp.middleware.sessions import session_id

NESTED = (dict, list)  # JSON values with something inside, which can change without the session noticing


class Found(Enum):
    """What the presented cookie led to when the request began."""

    NOTHING_PRESENTED = "nothing presented"  # no cookie, or a malformed one: the store was not asked
    UNKNOWN = "unknown"  # nothing there, or something expired or corrupt
    ENDED = "ended"  # a tombstone
    LIVE = "live"
    UNREACHABLE = "unreachable"  # the store is out and the app runs on without it


class Ask(Enum):
    """What the handler asked for, beyond changing data."""

    KEEP = "keep"
    END = "end"
    REGENERATE = "regenerate"
    ROTATE = "rotate"


class Outcome(Enum):
    """What is to happen at the end of the request; the store that carries it out matches all of them."""

    NOTHING = "nothing"
    CREATE = "create"
    TOUCH = "touch"
    WRITE = "write"
    END = "end"
    REGENERATE = "regenerate"
    ROTATE = "rotate"
    REFUSE = "refuse"  # an end or a new id that an unreachable store cannot give must not be pretended
    LOSE = "lose"  # data that an unreachable store cannot keep


class Session(dict[str, Any]):
    """One browser's session: a dict of JSON values, with what is known about it as attributes.

    A handler sees an empty dict on a first visit. Names with a leading underscore belong to the stores and
    fronts of this package.

    Attributes:
        id: the id in the browser's cookie; None until a new session is stored, and in the cookie store.
        is_new: whether this request started it.
        created_at: Unix seconds at which it was created.
        last_seen_at: Unix seconds of its last touch; lags by at most the touch interval.
        user_key: the key that ties it to its user.
        available: False while the store is out and the app runs on without it.
        accessed: whether the handler obtained it.
        modified: whether a top-level key was changed. Nested changes are found by comparing what is stored.
    """

    # Class attributes are the state of a first visit, so that making a session costs little more than a dict.
    id: str | None = None
    is_new: bool = True
    created_at: float = 0.0
    last_seen_at: float = 0.0
    user_key: str = "user_id"
    available: bool = True
    accessed: bool = False
    modified: bool = False

    _found: Found = Found.NOTHING_PRESENTED
    _ask: Ask = Ask.KEEP
    _presented: str | None = None  # the well-formed id that the cookie held
    _key: str = ""  # what that id leads to, where it has been worked out
    _https: bool | None = None  # how the request came; None where that is not known
    _handle: str = ""
    _stored: bytes = b""  # the document as this request last knew it
    _base: bytes | None = b"{}"  # this object's data as of then, encoded; None until somebody needs it
    _lent: bool = True  # False while nothing but plain values have been read, and set under other keys than the user's
    _closed: bool = False  # the response has started
    _slides: bool = True  # False on responses that shared caches may keep
    _committed: bytes | None = None  # the encoded data as of the last commit; None before there was one
    _adapted: bool = False  # it wraps the plain dict of a third-party store, whose user was:
    _loaded_user: Any = None

    @property
    def handle(self) -> str:
        """A random public name of this session; it survives rotation, and is safe to show and to log."""
        if not self._handle:
            self._handle = session_id.mint_handle()
        return self._handle

    @property
    def user_id(self) -> Any:
        """The value under `user_key`, or None."""
        return dict.get(self, self.user_key)

    def mark_accessed(self) -> None:
        """Record that the handler obtained the session."""
        self.accessed = True

    def mark_modified(self) -> None:
        """Record that a top-level key, or something inside a value, is about to change.

        Raises:
            SessionClosed: the response has started.
        """
        self._change()
        self._lent = True

    def _change(self) -> None:
        if self._closed:
            raise SessionClosed(
                "the session was changed after the response had started, when nothing can be saved any more; "
                "change it before the first byte is sent"
            )
        self.accessed = self.modified = True

    def __getitem__(self, key: str) -> Any:
        self.accessed = True
        value = dict.__getitem__(self, key)
        if isinstance(value, NESTED):
            self._lent = True
        return value

    def get(self, key: str, default: Any = None) -> Any:
        self.accessed = True
        value = dict.get(self, key, default)
        if isinstance(value, NESTED):
            self._lent = True
        return value

    def __contains__(self, key: object) -> bool:
        self.accessed = True
        return dict.__contains__(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._change()
        if isinstance(value, NESTED) or key == self.user_key:
            self._lent = True
        dict.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        self.mark_modified()
        dict.__delitem__(self, key)

    def pop(self, key: str, *default: Any) -> Any:
        if dict.__contains__(self, key):
            self.mark_modified()
        self.accessed = True
        return dict.pop(self, key, *default)

    def popitem(self) -> tuple[str, Any]:
        if dict.__len__(self):
            self.mark_modified()
        return dict.popitem(self)

    def setdefault(self, key: str, default: Any = None) -> Any:
        if not dict.__contains__(self, key):
            self.mark_modified()
        self.accessed = self._lent = True
        return dict.setdefault(self, key, default)

    def clear(self) -> None:
        """End the session: its document dies and the browser's cookie is deleted.

        Data stored after that in the same request starts a new session under a new id.

        Raises:
            SessionClosed: the response has started.
        """
        self.mark_modified()
        if self._found in (Found.LIVE, Found.UNREACHABLE) and self._ask is not Ask.REGENERATE:
            self._ask = Ask.END
            self._handle = ""
        dict.clear(self)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        # A copy is data alone: a second object with the same claim on the stored document would overwrite it.
        return dict, (dict(self),)

    def _lead_to(self, presented: str | None, key: str = "") -> None:
        """Take another id as the one that leads to the document."""
        self._presented = presented
        self._key = key

    def _regenerate(self) -> None:
        self.mark_modified()
        self._ask = Ask.REGENERATE
        self.id = None
        self.is_new = True
        self._handle = ""
        dict.clear(self)

    def _rotate(self) -> None:
        self.mark_modified()
        if self._ask is Ask.KEEP:
            self._ask = Ask.ROTATE


def _marked(name: str, *, changes: bool = False, lends: bool = False) -> Callable[..., Any]:
    """Make a dict method tell the session that it is read or changed, or that its values are given out."""
    plain = getattr(dict, name)
    if changes:

        def method(self: Session, *args: Any, **kwargs: Any) -> Any:
            self.mark_modified()
            return plain(self, *args, **kwargs)
    else:

        def method(self: Session, *args: Any, **kwargs: Any) -> Any:
            self.accessed = True
            self._lent = self._lent or lends
            return plain(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method


for _name in ("update", "__ior__"):
    setattr(Session, _name, _marked(_name, changes=True))
_LOOKS = ("__iter__", "__reversed__", "__len__", "__repr__", "keys")
_GIVES = ("items", "values", "copy", "__or__", "__ror__", "__eq__", "__ne__")  # comparing hands values to their `==`
for _name in _LOOKS:
    setattr(Session, _name, _marked(_name))
for _name in _GIVES:
    setattr(Session, _name, _marked(_name, lends=True))


def decide(session: Session, *, changed: bool, user_changed: bool, touch_due: bool) -> Outcome:
    """Return what is to happen at the end of a request.

    Args:
        session: what was found, what was asked, and whether it holds data now.
        changed: its encoded data differs from what was loaded.
        user_changed: the value under `user_key` does.
        touch_due: `last_seen_at` lags by the touch interval or more.
    """
    ask, holds_data = session._ask, dict.__len__(session) > 0
    if ask is Ask.END and holds_data:
        ask = Ask.REGENERATE
    if ask in (Ask.KEEP, Ask.ROTATE) and user_changed and holds_data:
        # A change of user without a new id would let whoever planted the old id in (session fixation).
        ask = Ask.ROTATE if session._found is Found.LIVE else Ask.REGENERATE
    match session._found:
        case Found.LIVE:
            return _decide_live(ask, changed=changed, touch_due=touch_due)
        case Found.NOTHING_PRESENTED | Found.UNKNOWN:
            if ask is Ask.REGENERATE:
                return Outcome.REGENERATE
            return Outcome.CREATE if holds_data else Outcome.NOTHING
        case Found.ENDED:
            return Outcome.REGENERATE if ask is Ask.REGENERATE else Outcome.NOTHING
        case Found.UNREACHABLE:
            if ask is not Ask.KEEP:
                return Outcome.REFUSE
            return Outcome.LOSE if holds_data else Outcome.NOTHING
        case never:
            assert_never(never)


def _decide_live(ask: Ask, *, changed: bool, touch_due: bool) -> Outcome:
    match ask:
        case Ask.END:
            return Outcome.END
        case Ask.REGENERATE:
            return Outcome.REGENERATE
        case Ask.ROTATE:
            return Outcome.ROTATE
        case Ask.KEEP:
            if changed:
                return Outcome.WRITE
            return Outcome.TOUCH if touch_due else Outcome.NOTHING
        case never:
            assert_never(never)


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
        follow: let requests that are in flight with the old id reach the session for the grace. Right for
            periodic renewal, wrong at any change of privilege. Not available yet.

    Raises:
        LookupError: there is no request, or its path is excluded from sessions.
        SessionClosed: the response has started.
        NotImplementedError: `follow=True`.
    """
    if follow:
        raise NotImplementedError("rotate_session(follow=True) is not available yet; rotate_session() is")
    session = _current()
    session._rotate()
    return session


def _current() -> Session:
    try:
        return current_session.get()
    except LookupError:
        raise LookupError(
            "there is no session here: outside a request, on a path in exclude_paths, or without SessionMiddleware "
            "or ASGISessionMiddleware around the app"
        ) from None
