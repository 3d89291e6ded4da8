"""`Session`: a dict that knows where it comes from, what its request asks of it, and whether it may have changed.

Nothing here knows a store, a clock or asyncio.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from chirp.errors import ConfigurationError
from chirp.middleware.sessions import session_id
from chirp.middleware.sessions.about import AS_USUAL, About, AboutChange, changed
from chirp.middleware.sessions.config import check_max_age
from chirp.middleware.sessions.decision import Ask, Found
from chirp.middleware.sessions.noting import NotingDict

if TYPE_CHECKING:
    from chirp.middleware.sessions.cookie import SetCookie

NOTHING_PRESENTED, KEEP = Found.NOTHING_PRESENTED, Ask.KEEP
NO_DATA: Mapping[str, Any] = {}
DEFAULT_USER_KEY = "user_id"


class Saver(Protocol):
    """What a session is saved by: the store that it came from."""

    async def save_now(self, session: "Session") -> None:
        """See `Session.save`."""
        ...


class Session(NotingDict):
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

    # Slots: attributes of a dict's subclass are otherwise kept in a second dict, slow to make and to look into.
    __slots__ = (
        "_about",
        "_ask",
        "_asked_lifetime",
        "_asked_since",
        "_base",
        "_client",
        "_committed",
        "_cookie",
        "_found",
        "_handle",
        "_https",
        "_key",
        "_presented",
        "_saver",
        "_slides",
        "_started",
        "_stored",
        "available",
        "created_at",
        "id",
        "is_new",
        "last_seen_at",
    )

    def __init__(self, data: Mapping[str, Any] = NO_DATA, /, **more: Any) -> None:
        """Make the session of a first visit, with data as a dict takes it."""
        dict.update(self, data, **more)
        self.id: str | None = None
        self.is_new: bool = True
        self.created_at: float = 0.0
        self.last_seen_at: float = 0.0
        self.user_key: str = DEFAULT_USER_KEY
        self.available: bool = True
        self.accessed: bool = False
        self.modified: bool = False
        self._found = NOTHING_PRESENTED
        self._ask = KEEP
        self._presented: str | None = None  # the well-formed id that the cookie held
        self._key = ""  # what that id leads to, where it has been worked out
        self._https: bool | None = None  # how the request came; None where that is not known
        self._handle = ""
        self._about: About | None = None  # what the document says beside the data
        self._asked_lifetime: AboutChange | None = None  # what this request asks to change of that
        self._asked_since: Ask | None = None  # what was asked for since the last `save()` began
        self._client: AboutChange | None = None  # what it changes of that unasked, where clients are recorded
        self._stored = b""  # the document as this request last knew it
        self._base: bytes | None = b"{}"  # this object's data as of then, encoded; None until somebody needs it
        self._lent = True  # False while only plain values have been read, and set under other keys than the user's
        self._closed = False  # the response has started, and nothing more may be changed
        self._started = False  # the response has started, and no cookie can be set any more
        self._saver: Saver | None = None  # the store; None with one that has load and save alone
        self._cookie: SetCookie | None = None  # what was saved before the response, which will set it
        self._slides = True  # False on responses that shared caches may keep
        self._committed: bytes | None = None  # the encoded data as of the last commit; None before there was one
        self._view = None

    @property
    def handle(self) -> str:
        """A random public name of this session; it survives rotation, and is safe to show and to log."""
        if not session_id.is_handle(self._handle):
            self._handle = session_id.mint_handle()
        return self._handle

    @property
    def user_id(self) -> Any:
        """The value under `user_key`, or None."""
        return dict.get(self, self.user_key)

    @property
    def max_age(self) -> int | None:
        """Seconds that this session lives unseen, if it has a lifetime of its own; None: the config's `max_age`."""
        return (self._next_about() or AS_USUAL).max_age

    @property
    def persistent(self) -> bool:
        """Whether the browser keeps the cookie when it is closed."""
        return (self._next_about() or AS_USUAL).persistent

    @property
    def user_agent(self) -> str | None:
        """The user agent that was stored last, with `SessionConfig.record_client`: that of an earlier request."""
        return (self._about or AS_USUAL).user_agent

    @property
    def address(self) -> str | None:
        """The address that was stored last, as `user_agent` is."""
        return (self._about or AS_USUAL).address

    def set_lifetime(self, max_age: int | None = None, *, persistent: bool = True) -> None:
        """Give this session a lifetime of its own, which holds until it ends; its cookie is set anew.

        Where the id was renewed while this request ran, the cookie follows with the next touch.
        `idle_timeout_seconds` and `absolute_timeout_seconds` hold all the same. A session that takes its place, by
        `regenerate_session()`, `clear()` or `login()`, has the config's lifetime again.

        Args:
            max_age: seconds that it lives unseen; None: the config's `max_age`.
            persistent: with False the cookie has no Max-Age, so that it ends with the browser.

        Raises:
            ConfigurationError: `max_age` is no whole number from 1 to 400 days, or the store has no lifetimes.
            SessionClosed: the response has started.
        """
        if max_age is not None:
            check_max_age("max_age", max_age)
        self.mark_modified()
        self._asked_lifetime = {"max_age": max_age, "persistent": bool(persistent)}

    def reopen(self) -> None:
        """Let the session be changed after the response has started, until the next `save()`.

        What is changed and not saved is lost, and logged.
        """
        self._closed = False
        self._lent = True  # so that what is not saved is found

    async def save(self) -> None:
        """Store the changes now and not when the response starts: in a WebSocket, a stream or a background task.

        Changes of others are merged as at the end of a request. Before the response has started it is good for what
        somebody else has to find in the store; a cookie that is to be set goes out with the response. After that no
        cookie can be set, so what needs one is refused.

        Raises:
            SessionClosed: the session has ended meanwhile, or a cookie is needed after the response has started: for
                a session that is new, gets a new id, another user or a lifetime, and for all in a cookie store.
            StoreUnavailable: nothing is acknowledged, whatever `on_store_error` says.
            SessionTooLarge, SessionNotSerializable: nothing was written.
            ConfigurationError: the store has `load` and `save` alone.
        """
        if self._saver is None:
            raise ConfigurationError(
                "a store that has load and save alone saves a session with its response; use a store of this package, "
                "or derive yours from BuiltInStore"
            )
        await self._saver.save_now(self)

    def clear(self) -> None:
        """End the session: its document dies and the browser's cookie is deleted.

        Data stored after that in the same request starts a new session under a new id.

        Raises:
            SessionClosed: the response has started.
        """
        self.mark_modified()
        if self._found in (Found.LIVE, Found.UNREACHABLE) and self._ask is not Ask.REGENERATE:
            self._ask = Ask.END
        if self._asked_since is not Ask.REGENERATE:
            self._asked_since = Ask.END
        self._begin_anew()
        dict.clear(self)

    def _lead_to(self, presented: str | None, key: str = "") -> None:
        """Take another id as the one that leads to the document."""
        self._presented = presented
        self._key = key

    def _regenerate(self) -> None:
        self.mark_modified()
        self._ask = self._asked_since = Ask.REGENERATE
        self.id = None
        self.is_new = True
        self._begin_anew()
        dict.clear(self)

    def _begin_anew(self) -> None:
        """Drop what belongs to the session that is left behind."""
        self._handle = ""
        self._about = self._asked_lifetime = None
        if self._view is not None:
            self._view.forget()

    def _about_change(self) -> AboutChange:
        """Return what this request changes of what the document says beside the data, if it writes it whole."""
        return {**(self._client or {}), **(self._asked_lifetime or {})}

    def _next_about(self) -> About | None:
        """Return what the document says beside the data once this request has written it whole."""
        if self._client is None and self._asked_lifetime is None:
            return self._about
        return changed(self._about, self._about_change())

    def _settle_about(self, about: About | None) -> None:
        """Take this for what the document says beside the data."""
        self._about = about
        self._asked_lifetime = None

    def _rotate(self, *, follow: bool) -> None:
        self.mark_modified()
        if self._ask is Ask.KEEP and follow:
            self._ask = self._asked_since = Ask.RENEW
        elif self._ask in (Ask.KEEP, Ask.RENEW) and not follow:
            self._ask = self._asked_since = Ask.ROTATE  # of two wishes in one request the stricter one holds

    def _ask_again(self) -> None:
        """Ask for what was asked for while a `save()` was under way, which has settled what was asked before it."""
        if self._asked_since is not None:
            self._ask = self._asked_since
            if self._ask in (Ask.END, Ask.REGENERATE):
                self._about = None


class LiveSession(Session):
    """A session that was found in the store.

    It is made without the state of a first visit, which costs as much as all that is known of it: whoever makes one
    sets every attribute.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # who are to know the arguments of Session
        __init__ = dict.__init__
