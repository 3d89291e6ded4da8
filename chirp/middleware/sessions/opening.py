"""How a store makes the session of a request, once it knows what the cookie led to."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from chirp.middleware.sessions import telemetry
from chirp.middleware.sessions.codec import Envelope, encode_data
from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.decision import Ask, Found
from chirp.middleware.sessions.fidelity import check_faithful
from chirp.middleware.sessions.models import Model, Unfit, model_of
from chirp.middleware.sessions.session import LiveSession, Session
from chirp.middleware.sessions.typed import View, check_fitting, encode_typed, open_typed

LIVE, KEEP = Found.LIVE, Ask.KEEP  # to find a member of an enum is slow before Python 3.12


class Opening(ABC):
    """Makes sessions, typed ones where the config has a model.

    Args:
        config: the settings.
        clock: returns Unix seconds.
    """

    def __init__(self, config: SessionConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self._user_key = config.user_key
        self._encode: Callable[[dict[str, Any]], bytes] = encode_data
        self._check: Callable[..., None] = check_faithful
        self._model: Model | None = None
        if config.model is not None:
            self._apply(model_of(config.model))

    @abstractmethod
    async def save_now(self, session: Session) -> None:
        """See `Session.save`."""

    def _resume(
        self, document: bytes, envelope: Envelope, https: bool | None, session_id: str | None = None, key: str = ""
    ) -> Session:
        """Return the session that a live document holds."""
        session: Session = LiveSession(envelope.data)
        session.id = session._presented = session_id
        session._key = key
        session._https = https
        session.is_new = False
        session.created_at = envelope.created_at
        session.last_seen_at = envelope.last_seen_at
        session._handle = envelope.handle
        session._about = envelope.about
        session._stored = document
        session._base = session._committed = session._asked_lifetime = session._asked_since = session._client = None
        session._found = LIVE
        session._ask = KEEP
        session.user_key = self._user_key
        session.available = session._slides = True
        session.accessed = session.modified = session._lent = session._closed = session._started = False
        session._saver = self
        session._cookie = session._view = None
        return session

    def _start(
        self,
        data: dict[str, Any] | None = None,
        *,
        found: Found = Found.NOTHING_PRESENTED,
        presented: str | None = None,
        https: bool | None = None,
    ) -> Session:
        """Return a session that is not in the store."""
        session = Session(data or {})
        session.created_at = session.last_seen_at = self.clock()
        session._found = found
        session._presented = presented
        session._https = https
        session.available = found is not Found.UNREACHABLE
        session.user_key = self._user_key
        session._saver = self
        if self._model is not None:
            session._view = View(self._model)
        return session

    def fit(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return data as the model has it, if there is one.

        Raises:
            Unfit: it does not fit, migrated or not.
        """
        return data if self._model is None else open_typed(self._model, self.config.migrate, data).data

    def _apply(self, model: Model) -> None:
        """Do for each session what its model needs, so that stores without one need not ask whether they have it."""
        self._model = model
        self._encode = encode_typed
        self._check = partial(check_fitting, model)
        self._resume = partial(self._resume_typed, model=model)  # type: ignore[method-assign]

    def _resume_typed(
        self,
        document: bytes,
        envelope: Envelope,
        https: bool | None,
        session_id: str | None = None,
        key: str = "",
        *,
        model: Model,
    ) -> Session:
        """Return the session that a live document holds; a fresh one if its data does not fit the model."""
        try:
            opened = open_typed(model, self.config.migrate, envelope.data)
        except Unfit as unfit:
            telemetry.tell_invalid(key, envelope.handle, unfit)
            return self._start(found=Found.UNKNOWN, presented=session_id, https=https)
        envelope.data = opened.data
        session = Opening._resume(self, document, envelope, https, session_id, key)
        session._view = View(model, opened.instance)
        session._lent = opened.migrated  # so that the end of the request compares it with what is stored
        return session
