"""Stores of others that have `load` and `save` alone and deal in plain dicts, seen as a `Session`."""

import logging
from typing import Any

from starlette.requests import Request

from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.protocol import AnyResponse
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.decision import Ask, Found
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.store import SessionStore, scheme_is_https
from chirp.middleware.sessions.telemetry import outage

log: logging.Logger = logging.getLogger("chirp.sessions")


class _Adapted(Session):
    """The plain dict of a third-party store, and who its user was."""

    __slots__ = ("_loaded_user",)

    _loaded_user: Any

    def set_lifetime(self, max_age: int | None = None, *, persistent: bool = True) -> None:
        raise ConfigurationError(
            f"max_age={max_age!r}, persistent={persistent!r}: a store that has load and save alone keeps no lifetime "
            "of one session; use a store of this package, or derive yours from BuiltInStore"
        )


class DictStoreAdapter:
    """Wraps a third-party store for `SessionMiddleware`.

    Every session that holds or held something is saved, changed or not: whether an unchanged one needs it (to slide
    its expiry, say) is the store's to know. A store that returns a `Session` of an inner store is left alone.

    Args:
        store: has `load` and `save`.
        config: gives the cookie's name and the user key.
    """

    def __init__(self, store: SessionStore, config: SessionConfig) -> None:
        self._store = store
        self._config = config

    async def open(self, request: Request) -> Session:
        """Load, and wrap what comes. Raises whatever the store raises, but for an outage that the app runs through."""
        try:
            loaded = await self._store.load(request)
        except StoreUnavailable as error:
            if self._config.on_store_error == "unavailable":
                raise
            log.warning(
                "store unavailable, the request runs without its session: %s", error, extra=outage(error.session)
            )
            return self._wrap(request, {}, Found.UNREACHABLE)
        if isinstance(loaded, Session):
            return loaded
        return self._wrap(request, loaded, Found.LIVE if loaded else Found.UNKNOWN)

    def _wrap(self, request: Request, loaded: dict[str, Any], found: Found) -> Session:
        session = _Adapted(loaded)
        session.user_key = self._config.user_key
        session.is_new = not loaded
        session.available = found is not Found.UNREACHABLE
        session._found = found
        session._https = scheme_is_https(request)
        session._presented = request.cookies.get(self._config.cookie_name)
        session._loaded_user = loaded.get(self._config.user_key)
        return session

    async def save(self, response: AnyResponse, session: Session) -> AnyResponse:
        """Save where there is something to save. Raises whatever the store raises.

        Whatever asks for an end or a new id, a change of user included, names the presented id as the one to drop.
        """
        if not isinstance(session, _Adapted):
            return await self._store.save(response, session)
        wants_new_id = session._ask is not Ask.KEEP or session.user_id != session._loaded_user
        if session._found is Found.UNREACHABLE:
            if wants_new_id:
                raise StoreUnavailable("the store is out, so the session can neither end nor get a new id")
            return response
        if wants_new_id:
            return await self._store.save(response, dict(session), regenerate_old_id=session._presented)
        data = dict(session)
        if not data and session._found is Found.UNKNOWN:
            return response
        try:
            return await self._store.save(response, data)
        except StoreUnavailable as error:
            if self._config.on_store_error == "unavailable" or not data:
                raise  # a session emptied by removing keys is one that ends
            log.warning("store unavailable, what the request stored is lost: %s", error, extra=outage(error.session))
            return response
