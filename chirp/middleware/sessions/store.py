"""What a session store is, and what all built-in stores share: the way in from requests and out to responses."""

from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeVar, runtime_checkable

from starlette.requests import Request

from chirp.errors import SessionClosed, SessionNotSerializable, StoreUnavailable
from chirp.middleware.protocol import AnyResponse
from chirp.middleware.sessions.about import About, client_of
from chirp.middleware.sessions.codec import EMPTY_DATA, Codec, Envelope, decode_data, encode_data
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import CookieReader, CookieWriter, SetCookie
from chirp.middleware.sessions.decision import Ask, Found, Outcome, decide
from chirp.middleware.sessions.expiry import Lifetime
from chirp.middleware.sessions.opening import Opening
from chirp.middleware.sessions.session import Session

ResponseT = TypeVar("ResponseT", bound=AnyResponse)

HTTPS_SCHEMES = ("https", "wss")
LIFETIMES_KEPT = 16  # an app has one or two besides the config's
NOTHING = Outcome.NOTHING  # to find a member of an enum is slow before Python 3.12
AS_LOADED = b""  # as the data of a commit: what was loaded, which nobody had to encode


@runtime_checkable
class SessionStore(Protocol):
    """Where sessions live. Absent is not an error, an outage is."""

    async def load(self, request: Request) -> dict[str, Any]:
        """Return the session of the request; an empty dict if there is none.

        Raises:
            StoreUnavailable: the store could not be asked. Never for a session that does not exist.
        """
        ...

    async def save(
        self, response: AnyResponse, session: dict[str, Any], *, regenerate_old_id: str | None = None
    ) -> AnyResponse:
        """Persist the session and return the response, with its cookie where one is to be set.

        Args:
            response: gets a `Set-Cookie` header.
            session: what `load` returned, changed or not; or any other dict, which is a new session.
            regenerate_old_id: the id that must be dead afterwards; the session gets a new one.

        Raises:
            StoreUnavailable: nothing is acknowledged.
            SessionTooLarge, SessionNotSerializable: nothing was written.
        """
        ...


class BuiltInStore(Opening):
    """A store with the one seam that both fronts use: `open` a cookie, `commit` a session.

    Args:
        config: the settings; the cookie follows this one.
        value_pattern: regular expression of a well-formed cookie value.
        clock: returns Unix seconds.
    """

    sets_cookie: tuple[Outcome, ...] = (Outcome.CREATE, Outcome.REGENERATE, Outcome.ROTATE, Outcome.RENEW)
    """Outcomes that are nothing without a cookie."""

    def __init__(self, config: SessionConfig, *, value_pattern: str, clock: Callable[[], float]) -> None:
        super().__init__(config, clock)
        self.cookie_reader: CookieReader = CookieReader(config.cookie_name, value_pattern)
        self._cookies = CookieWriter(config)
        self._codec = Codec(config)
        self._lifetime = config.lifetime
        self._lifetime_for = lru_cache(LIFETIMES_KEPT)(self._lifetime.of_session)

    @abstractmethod
    async def open(self, cookie: str | None, https: bool | None) -> Session:
        """Return the session that a cookie leads to.

        Args:
            cookie: the cookie's value as `cookie_reader` gives it; None if there was none well-formed.
            https: whether the request came over https; None where that is not known.

        Raises:
            StoreUnavailable: the store could not be asked and `on_store_error` is "unavailable".
        """

    @abstractmethod
    async def commit(self, session: Session, now: float) -> SetCookie | None:
        """Carry out what the end-of-request table says for this session.

        Args:
            session: from `open`; afterwards it stands as stored, so committing it again is right.
            now: Unix seconds.

        Returns:
            The cookie to set, or None.

        Raises:
            StoreUnavailable: nothing is acknowledged.
            SessionTooLarge, SessionNotSerializable: nothing was written, the stored session is as it was.
        """

    async def save_now(self, session: Session) -> None:
        """See `Session.save`."""
        now = self.clock()
        outcome, data, _ = self._decide(session, now)
        if session._started and (outcome in self.sets_cookie or session._asked_lifetime is not None):
            raise SessionClosed(
                "the session needs a cookie, which cannot be set after the response has started: it is new, or gets a "
                "new id, another user or a lifetime, or it is kept in a cookie; do so before the first byte is sent"
            )
        session._asked_since = None
        cookie = await self.commit(session, now)
        session._ask_again()  # a logout of another task must not be taken for one that has been carried out
        if session._found is Found.ENDED and data != EMPTY_DATA:
            raise SessionClosed(
                "the session has ended meanwhile, so nothing was saved; a new one begins with a request"
            )
        if outcome is not NOTHING and session._base != data:
            raise StoreUnavailable("the store is out, so what the session holds was not saved")
        if session._started:
            session._closed = True
        elif cookie is not None:
            session._cookie = cookie

    def check_fits(self, session: Session) -> None:
        """Check that a new session could be stored.

        Raises:
            SessionTooLarge, SessionNotSerializable: it could not.
        """
        data = self._encode(session)
        self._check(session, data)
        now = self.clock()
        self._codec.encode(
            created_at=now, last_seen_at=now, handle=session.handle, data=data, about=session._next_about()
        )

    async def aclose(self) -> None:
        """Release what this store itself opened on this event loop; it may be used again afterwards."""

    async def load(self, request: Request) -> Session:
        """See `SessionStore.load`.

        Of the request it uses the headers of an ASGI scope where there is one, or else `cookies`; and the scheme.
        """
        scope = getattr(request, "scope", None)
        if isinstance(scope, dict) and "headers" in scope:
            cookie = self.cookie_reader.read(scope["headers"])
            scheme = scope.get("scheme")
            session = await self.open(cookie, None if scheme is None else scheme in HTTPS_SCHEMES)
            if self.config.record_client:
                session._client = client_of(scope["headers"], scope.get("client"))
            return session
        cookie = self.cookie_reader.check(request.cookies.get(self.config.cookie_name))
        return await self.open(cookie, scheme_is_https(request))

    async def save(
        self, response: ResponseT, session: dict[str, Any], *, regenerate_old_id: str | None = None
    ) -> ResponseT:
        """See `SessionStore.save`. Sets `Set-Cookie` only; the middlewares add what caches need."""
        if not isinstance(session, Session):
            session = self._start(session)
        if regenerate_old_id is not None:
            session._ask = Ask.REGENERATE
            session._lent = True  # more is asked than its data tells
            session._found = Found.LIVE  # the caller vouches for the id, so what it was rotated to ends as well
            if regenerate_old_id != session._presented:  # else keep where it was led, for the way there may end
                session._lead_to(regenerate_old_id)
            session._handle, session._about = "", None
        cookie = await self.commit(session, self.clock())
        return response if cookie is None else add_header(response, "Set-Cookie", cookie.header)

    def _lifetime_of(self, about: About | None) -> Lifetime:
        """Return the time limits of a session, by what its document says beside the data."""
        return self._lifetime if about is None else self._lifetime_for(about.max_age)

    def _is_expired(self, envelope: Envelope) -> bool:
        lifetime = self._lifetime_of(envelope.about)
        return lifetime.is_expired(envelope.created_at, envelope.last_seen_at, self.clock())

    def _decide(self, session: Session, now: float) -> tuple[Outcome, bytes, bool]:
        """Return the outcome, the session's encoded data, and whether the outcome slides the idle limit.

        Raises:
            SessionNotSerializable: the data has changed and would not come back as it is.
        """
        about = session._about
        lifetime = self._lifetime if about is None else self._lifetime_of(about)
        due = session._slides and lifetime.touch_due(session.last_seen_at, now)
        if not (due or session.modified or session._lent):  # so nothing was asked either
            session._committed = AS_LOADED
            return NOTHING, EMPTY_DATA, due
        if session._base is None:
            session._base = self._codec.data_of(session._stored)
        session._committed = data = self._encode(session)
        changed = data != session._base
        if changed and not session.modified and len(data) > self.config.max_bytes:
            # Another program's spelling may be shorter (1e15); it is no change, and not too large because of this one.
            changed = data != encode_data(decode_data(session._base))
            data = data if changed else session._base
        user_changed = changed and session._lent and self._codec.user_differs(data, session._base)
        if session._asked_lifetime is not None:
            changed = due = True  # a touch would do, were it not dropped where another request has written
        outcome = decide(
            session._found,
            session._ask,
            holds_data=data != EMPTY_DATA,
            changed=changed,
            user_changed=user_changed,
            touch_due=due,
        )
        if changed:
            self._check(session, data, nested=session._lent)
        return outcome, data, due

    def changed_since_commit(self, session: Session) -> bool:
        """Tell whether the session's data is another than when it was committed; False if it never was."""
        if session._committed is None or not session._lent:
            return False
        committed = session._committed or self._codec.data_of(session._stored)
        try:
            return self._encode(session) != committed
        except SessionNotSerializable:  # what cannot be encoded now was changed, too
            return True


def add_header(response: ResponseT, name: str, value: str) -> ResponseT:
    """Add a header to an immutable response with `with_header` (chirp's) or to a mutable one (Starlette's)."""
    given: Any = response  # told apart by what it can do, not by its class
    if hasattr(given, "with_header"):
        changed: ResponseT = given.with_header(name, value)
        return changed
    given.headers.append(name, value)
    return response


def scope_of(request: Any) -> dict[str, Any] | None:
    """Return the ASGI scope of a request that has one."""
    scope = getattr(request, "scope", None)
    return scope if isinstance(scope, dict) else None


def scheme_is_https(request: Any) -> bool | None:
    """Tell whether a request came over https or wss; None where it does not say."""
    scope = scope_of(request)
    if scope is not None:
        scheme = scope.get("scheme")
    else:
        scheme = getattr(getattr(request, "url", None), "scheme", None) or getattr(request, "scheme", None)
    return scheme in HTTPS_SCHEMES if isinstance(scheme, str) else None
