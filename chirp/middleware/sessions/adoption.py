"""How a request takes over the session that an older library left behind (`SessionConfig.predecessors`).

Whoever presents an id of this package's, dead or alive, has been here before: nothing is taken over then. A logout
that was stored here would be undone otherwise. The old session ends once the new one is stored, never before.

Whoever logs out or in with an old cookie leaves a tombstone for the old session in the new store. A request that has
read it before looks there once it has stored a new one, and takes that back.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Message, Send

from chirp.errors import (
    ConfigurationError,
    SessionLimitReached,
    SessionNotSerializable,
    SessionTooLarge,
    StoreUnavailable,
)
from chirp.middleware.protocol import AnyResponse
from chirp.middleware.sessions import telemetry
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.cookie import SetCookie
from chirp.middleware.sessions.decision import Ask, Found
from chirp.middleware.sessions.directory import REVOKED_MS, DirectoryStore
from chirp.middleware.sessions.fronts import NEVER_CACHED, STARTS, VARY, look_through
from chirp.middleware.sessions.models import Unfit
from chirp.middleware.sessions.outcomes import is_tombstone
from chirp.middleware.sessions.predecessor import Predecessor
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import End, Look
from chirp.middleware.sessions.store import BuiltInStore, SessionStore, add_header, scope_of
from chirp.middleware.sessions.telemetry import outage
from chirp.middleware.streaming import own_copy

LARGEST_VALUE = 8192  # browsers keep no cookie of more than 4096 bytes

log: logging.Logger = logging.getLogger("chirp.sessions")


class Adoption:
    """One request that has a cookie of a predecessor's; it stands in for the store when the request ends.

    Args:
        store: of the new session.
        session: of the request.
        presented: whose cookies the request has, and their values.
    """

    def __init__(self, store: BuiltInStore, session: Session, presented: list[tuple[Predecessor, str]]) -> None:
        self.clock: Callable[[], float] = store.clock
        self.store = store
        self._directory = store if isinstance(store, DirectoryStore) else None
        self._session = session
        self._presented = presented
        self._adopted = False
        self._user: Any = None
        self._over = False  # the old sessions are dead, or nobody is to come back to them

    async def adopt(self) -> None:
        """Fill the session with what the first of the predecessors has.

        Raises:
            StoreUnavailable: a predecessor could not be asked.
        """
        for predecessor, value in self._presented:
            data = await predecessor.read(value)
            data = await predecessor.converted(data) if data else None
            if not data:
                continue
            try:
                data = self.store.fit(data)
                trial = self.store._start(data)
                trial._client = self._session._client
                self.store.check_fits(trial)
            except (SessionTooLarge, SessionNotSerializable) as error:
                log.warning("what a predecessor holds cannot be kept, the request is anonymous: %s", error)
                continue
            except Unfit:
                log.warning("what a predecessor holds does not fit the model, the request is anonymous")
                continue
            self._session.update(data)
            self._adopted, self._user = True, self._session.user_id
            return

    async def commit(self, session: Session, now: float) -> SetCookie | None:
        """Do as the store does; then end the old sessions, if the new one is stored or the user left."""
        empty = not dict.__len__(session)
        left = session._ask in (Ask.END, Ask.REGENERATE) or (empty and (session.modified or self._adopted))
        begun_anew = left or (self._adopted and session.user_id != self._user)
        try:
            cookie = await self.store.commit(session, now)
            if self._adopted and not begun_anew and await self._is_taken_back(session):
                return None
        except SessionLimitReached:
            self._over = self._adopted  # or each request of this browser would be refused
            raise
        except StoreUnavailable as error:
            if begun_anew or not self._adopted or self.store.config.on_store_error == "unavailable":
                raise
            # The store takes it for a login, which must not be pretended. It is none: the old session goes on.
            log.warning("store unavailable, what the request stored is lost: %s", error, extra=outage(error.session))
            return None
        stored = session._found is Found.LIVE
        if left if empty else stored and (left or self._adopted):
            if begun_anew:
                await self._leave(may_fail=stored)
            self._over = True
            if stored and self._adopted:
                self._tell()
            await self._end(0 if begun_anew else self.store.config.rotation_grace_seconds)
        return cookie

    def _places(self) -> list[str]:
        """Return the key under which the new store is told that an old session was left, of each of them."""
        texts = [f"{predecessor.cookie_name}={value}" for predecessor, value in self._presented]
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        return [self._directory.key_prefix + each for each in hashes] if self._directory is not None else []

    async def _leave(self, *, may_fail: bool) -> None:
        """Have requests that have read the old session, and store it only now, take that back.

        Raises:
            StoreUnavailable: they could not be told, so this logout is none yet.
        """
        if self._directory is None:
            return
        try:
            await self._directory._run([End(key, self._directory._grace_ms or REVOKED_MS) for key in self._places()])
        except StoreUnavailable as error:
            if not may_fail:
                raise
            log.warning("an old session could not be ended: %s", error, extra=outage(error.session))

    async def _is_taken_back(self, session: Session) -> bool:
        """Take back what was stored if the old session was left meanwhile; tell whether it was."""
        if self._directory is None or session.id is None:
            return False
        if not any(map(is_tombstone, await self._directory._run([Look(key) for key in self._places()]))):
            return False
        await self._directory.revoke_id(session.id)
        session._cookie = None
        return True

    def _tell(self) -> None:
        self._adopted = False  # it may be committed again
        if self._directory is not None and self._session.id is not None:
            telemetry.tell(telemetry.MIGRATED, self._directory.key_for(self._session.id), self._session.handle)

    async def _end(self, grace_seconds: int) -> None:
        for predecessor, value in self._presented:
            try:
                await predecessor.end(value, grace_seconds)
            except StoreUnavailable as error:
                # The new session is stored: the browser must get its cookie.
                log.warning("an old session could not be ended: %s", error, extra=outage(error.session))

    def deletions(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that delete the old cookies; none if what they lead to is still needed."""
        if not self._over:
            return []
        https = self._session._https
        return [
            (b"set-cookie", predecessor.deletion(https=https).encode("latin-1")) for predecessor, _ in self._presented
        ]

    def mark(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Add the deletions to a response's headers, in place of what would let caches keep them."""
        deletions = self.deletions()
        if deletions:
            _, varies = look_through(headers)
            headers[:] = [header for header in headers if header[0] != b"cache-control"]
            headers.extend([*deletions, NEVER_CACHED, *([] if varies else [VARY])])

    def marked(self, response: AnyResponse) -> AnyResponse:
        """Return a response that deletes the old cookies."""
        if isinstance(response, Response):
            response = own_copy(response)
            self.mark(response.raw_headers)
            return response
        for name, value in self.deletions():
            response = add_header(response, name.decode("ascii").title(), value.decode("latin-1"))
        return response

    def sending(self, send: Send) -> Send:
        """Return a `send` that deletes the old cookies with the response's start."""

        async def send_marked(message: Message) -> None:
            if message["type"] in STARTS:
                message["headers"] = headers = list(message.get("headers", ()))
                self.mark(headers)
            await send(message)

        return send_marked


class Migration:
    """Finds requests with a predecessor's cookie.

    Args:
        config: names the predecessors.
        store: of the new sessions.

    Raises:
        ConfigurationError: the store has `load` and `save` only.
    """

    def __init__(self, config: SessionConfig, store: SessionStore) -> None:
        if not isinstance(store, BuiltInStore):
            raise ConfigurationError(
                f"predecessors: store is a {type(store).__qualname__} with load and save only; migrating needs a "
                "store of this package, or one derived from BuiltInStore"
            )
        self._store = store
        self._predecessors = [(each, each.cookie_name.encode("ascii") + b"=") for each in config.predecessors]

    async def of_headers(self, session: Session, headers: Iterable[tuple[bytes, bytes]]) -> Adoption | None:
        """Return what a request with these ASGI headers takes over; None if it has no old cookie.

        Raises:
            StoreUnavailable: a predecessor could not be asked and `on_store_error` is "unavailable".
        """
        cookies = [value for name, value in headers if name == b"cookie"]
        if not any(start in value for value in cookies for _, start in self._predecessors):
            return None
        return await self._of(session, cookie_parser(b";".join(cookies).decode("latin-1")))

    async def of_request(self, session: Session, request: Any) -> Adoption | None:
        """Do the same for a request that need not be ASGI's."""
        scope = scope_of(request)
        if scope is not None and "headers" in scope:
            return await self.of_headers(session, scope["headers"])
        return await self._of(session, request.cookies)

    async def _of(self, session: Session, cookies: Mapping[str, str]) -> Adoption | None:
        now = self._store.clock()
        presented = [
            (each, cookies[each.cookie_name])
            for each, _ in self._predecessors
            if 0 < len(cookies.get(each.cookie_name, "")) <= LARGEST_VALUE and not each.is_over(now)
        ]
        if not presented:
            return None
        adoption = Adoption(self._store, session, presented)
        if session._found is Found.NOTHING_PRESENTED:
            try:
                await adoption.adopt()
            except StoreUnavailable as error:
                self._run_without(session, error)
        return adoption

    def _run_without(self, session: Session, error: StoreUnavailable) -> None:
        """Let the request run with a session that is not persisted, or else raise the error."""
        if self._store.config.on_store_error == "unavailable":
            raise error
        log.warning("store unavailable, the request runs without its session: %s", error, extra=outage(error.session))
        session._found = Found.UNREACHABLE
        session.available = False


def migration_of(config: SessionConfig, store: SessionStore) -> Migration | None:
    """Return what looks for old cookies; None where there are no predecessors, so that nothing is asked per request."""
    return Migration(config, store) if config.predecessors else None
