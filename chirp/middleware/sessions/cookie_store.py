"""Sessions in a signed cookie: no server, and with that no promise that needs one.

What a cookie store cannot give, because every copy of a signed cookie stays valid until it expires:

- parallel changes are not merged: the response that arrives last wins (promise 3);
- an ended session can be brought back by a request in flight, or by whoever kept a copy (promises 4 and 5);
- parallel requests around a login may put the older cookie back (promise 7).

The content is signed, not encrypted: the browser's owner can read it.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import assert_never

from itsdangerous import BadData, URLSafeTimedSerializer
from itsdangerous.encoding import want_bytes

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.codec import EMPTY_DATA, encode_data
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import LARGEST_COOKIE, CookieChange, SetCookie
from chirp.middleware.sessions.decision import Ask, Found, Outcome
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import BuiltInStore

SALT = "chirp.middleware.sessions.cookie_store.v1"  # keeps these signatures apart from others made with the same key
VALUE_PATTERN = rf"[A-Za-z0-9_\-.]{{1,{LARGEST_COOKIE}}}"

log: logging.Logger = logging.getLogger("chirp.sessions")


class _DocumentText:
    """What itsdangerous signs: documents are JSON already."""

    @staticmethod
    def dumps(document: bytes) -> bytes:
        return document

    @staticmethod
    def loads(document: bytes) -> bytes:
        return document


class CookieSessionStore(BuiltInStore):
    """Keeps the whole session in a cookie signed with HMAC-SHA-256; see the module for what that cannot give.

    Args:
        config: the settings; `secret_key` signs, `fallback_secret_keys` still verify.
        clock: returns Unix seconds; give your own to move time in tests.
    """

    sets_cookie: tuple[Outcome, ...] = tuple(each for each in Outcome if each not in (Outcome.NOTHING, Outcome.TOUCH))

    def __init__(self, config: SessionConfig, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(config, value_pattern=VALUE_PATTERN, clock=clock)
        self._signer = URLSafeTimedSerializer(
            [*reversed(config.fallback_secret_keys), config.secret_key],  # the last one signs
            salt=SALT,
            serializer=_DocumentText,
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )

    def __repr__(self) -> str:
        return f"<CookieSessionStore: cookie {self.config.cookie_name}>"

    async def open(self, cookie: str | None, https: bool | None) -> Session:
        if not cookie or len(cookie) > LARGEST_COOKIE:
            return self._start(https=https)
        try:
            document = self._signer.loads(cookie)
        except (BadData, ValueError):
            return self._start(found=Found.UNKNOWN, https=https)
        envelope = self._codec.decode(document)
        if envelope is None:
            log.warning("a signed session cookie holds no session document; the request is anonymous")
            return self._start(found=Found.UNKNOWN, https=https)
        if self._is_expired(envelope):
            return self._start(found=Found.UNKNOWN, https=https)
        return self._resume(document, envelope, https)

    async def commit(self, session: Session, now: float) -> SetCookie | None:
        outcome, data, due = self._decide(session, now)
        match outcome:
            case Outcome.NOTHING:
                return None
            case Outcome.CREATE:
                return self._sign(session, data, now, CookieChange.NEW, created_at=now)
            case Outcome.TOUCH:
                with suppress(SessionTooLarge):  # the new stamp may be longer by a digit; a request that only reads
                    return self._sign(session, data, now, CookieChange.SLIDE, created_at=session.created_at)
                return None
            case Outcome.WRITE if data != EMPTY_DATA:
                last_seen_at = now if due else session.last_seen_at
                return self._sign(session, data, last_seen_at, CookieChange.NEW, created_at=session.created_at)
            case Outcome.ROTATE | Outcome.RENEW if data != EMPTY_DATA:
                return self._sign(session, data, now, CookieChange.NEW, created_at=session.created_at)
            case Outcome.REGENERATE if data != EMPTY_DATA:
                return self._sign(session, data, now, CookieChange.NEW, created_at=now)
            case Outcome.END | Outcome.WRITE | Outcome.ROTATE | Outcome.RENEW | Outcome.REGENERATE:
                return self._delete(session)
            case Outcome.REFUSE | Outcome.LOSE:
                raise AssertionError("a cookie store is always reachable")
            case never:
                assert_never(never)

    def _sign(
        self, session: Session, data: bytes, last_seen_at: float, change: CookieChange, *, created_at: float
    ) -> SetCookie:
        about = session._next_about()
        document = self._codec.encode(
            created_at=created_at, last_seen_at=last_seen_at, handle=session.handle, data=data, about=about
        )
        value = want_bytes(self._signer.dumps(document)).decode("ascii")
        cookie = self._cookies.write(value, change, https=session._https, about=about)
        session._settle_about(about)
        session.created_at = created_at
        session.last_seen_at = last_seen_at
        session._base = data
        session._found = Found.LIVE
        session._ask = Ask.KEEP
        return cookie

    def check_fits(self, session: Session) -> None:
        super().check_fits(session)
        now = self.clock()
        self._sign(session, encode_data(session), now, CookieChange.NEW, created_at=now)

    def _delete(self, session: Session) -> SetCookie | None:
        was_live = session._found is Found.LIVE
        session._base = EMPTY_DATA
        session._found = Found.NOTHING_PRESENTED
        session._ask = Ask.KEEP
        session._begin_anew()
        return self._cookies.delete(https=session._https) if was_live else None
