"""A session on a server: its key, its document, and how it stands after a step. No I/O, no clock."""

from collections.abc import Callable

from chirp.middleware.sessions import session_id
from chirp.middleware.sessions.codec import EMPTY_DATA, encode_user
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import CookieChange, SetCookie
from chirp.middleware.sessions.decision import Ask, Found
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import Create, Delist, Enlist
from chirp.middleware.sessions.store import BuiltInStore
from chirp.middleware.sessions.user_index import CLOCK_SKEW_SECONDS, Member, index_key, write_member


class ServerDocuments(BuiltInStore):
    """What a server-side store knows of one session without asking the server.

    Args:
        config: the settings.
        key_prefix: what every key starts with.
        clock: returns Unix seconds.
    """

    def __init__(self, config: SessionConfig, key_prefix: str, *, clock: Callable[[], float]) -> None:
        super().__init__(config, value_pattern=session_id.ID_PATTERN, clock=clock)
        self.key_prefix = key_prefix
        self._grace_ms = config.rotation_grace_seconds * 1000
        self.ended_channel: str = key_prefix + "ended"  # what is told there are handles

    def key_for(self, session_id_: str) -> str:
        """Return the key of a session's document: the prefix and the SHA-256 of the id."""
        return self.key_prefix + session_id.hash_id(session_id_)

    def _make_document(
        self, session: Session, data: bytes, last_seen_at: float, *, created_at: float
    ) -> tuple[bytes, int]:
        """Return the document and its time to live in milliseconds."""
        about = session._next_about()
        document = self._codec.encode(
            created_at=created_at, last_seen_at=last_seen_at, handle=session.handle, data=data, about=about
        )
        return document, self._lifetime_of(about).ttl_ms(created_at, last_seen_at, last_seen_at)

    def _make_new(self, session: Session, data: bytes, now: float) -> tuple[str, Create]:
        new_id = session_id.mint()
        document, ttl_ms = self._make_document(session, data, now, created_at=now)
        return new_id, Create(self.key_for(new_id), document, ttl_ms)

    def _enlisting(self, session: Session, key: str, now: float, ttl_ms: int) -> list[Enlist]:
        """Return the step that puts a session into its user's index; none where it has no user.

        To be taken before the document is stored, or lives longer, so that no live session is missing there.

        Args:
            session: its handle and its user count.
            key: of the document.
            now: Unix seconds.
            ttl_ms: of the document.
        """
        place = self._place_in_index(session.handle, encode_user(session.user_id), key)
        if place is None:
            return []
        skew = CLOCK_SKEW_SECONDS
        return [Enlist(*place, now + ttl_ms / 1000, now - skew, ttl_ms + skew * 1000)]

    def _delisting(self, session: Session) -> list[Delist]:
        """Return the step that takes the session, as it was loaded, out of its user's index; none without a user."""
        if not session._stored:
            return []  # known by its id alone
        handle, user = self._codec.owner_of(session._stored)
        if not session_id.is_handle(handle):
            return []
        place = self._place_in_index(handle, user, self._key_of(session))
        return [] if place is None else [Delist(place[0], (place[1],))]

    def _place_in_index(self, handle: str, user: bytes | None, key: str) -> tuple[str, str] | None:
        """Return the key of the user's index and the session's member there; None without a user."""
        if user is None:
            return None
        return index_key(self.key_prefix, user), write_member(Member(handle, key.removeprefix(self.key_prefix)))

    def _settle_new(
        self, session: Session, new_id: str, document: bytes, data: bytes, now: float, *, created_at: float
    ) -> SetCookie | None:
        session._settle_about(session._next_about())
        session.id = new_id
        session._lead_to(new_id)
        session.created_at = created_at
        session.last_seen_at = now
        self._settle(session, document, data)
        return self._write_cookie(session, CookieChange.NEW)

    def _settle(self, session: Session, document: bytes, data: bytes) -> None:
        """Make the session stand as stored: as its own document and data, without what a merge added.

        So where a merge added something, the next compare fails and merges again; it cannot drop the others' changes.
        """
        session._stored = document
        session._base = data
        session._found = Found.LIVE
        session._ask = Ask.KEEP

    def _detach(self, session: Session, data: bytes) -> None:
        """Cut the session off from the store: there is nothing it could be written to."""
        session.id = None
        session._base = data
        session._found = Found.ENDED
        session._ask = Ask.KEEP

    def _forget(self, session: Session) -> None:
        """Make the session one that nobody has yet: it ended by its own request, and what it holds next is new."""
        self._detach(session, EMPTY_DATA)
        session._found = Found.NOTHING_PRESENTED
        session._lead_to(None)
        session._begin_anew()

    def _write_cookie(self, session: Session, change: CookieChange) -> SetCookie | None:
        """Return the cookie with the session's id; None for an id that led here by way of a rotation.

        The browser has been given another one by then, which this request does not know.
        """
        if self._is_followed(session):
            return None
        return self._cookies.write(session.id or "", change, https=session._https, about=session._about)

    def _key_of(self, session: Session) -> str:
        return session._key or self.key_for(session._presented or "")

    def _presented_key(self, session: Session) -> str | None:
        presented = session._presented
        return self.key_for(presented) if presented and session_id.is_well_formed(presented) else None

    def _name_if_known(self, session: Session) -> str | None:
        """Return the name of the session for logs; None if it has no key yet."""
        key = session._key or self._presented_key(session)
        return session_id.name_of(key) if key else None

    def _is_followed(self, session: Session) -> bool:
        """Tell whether the presented id led to the document by way of a rotation that may be followed."""
        return bool(session._key) and session._key != self.key_for(session._presented or "")
