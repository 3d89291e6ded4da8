"""What is told of sessions: a log record for each event, with fields for machines, and a count.

An event arises where it has been acknowledged by the store, never before. A record names a session by a piece of its
key's hash and by its handle, which stays the same when the id changes; never by its id, and never by what is in it.
Whoever adds an event adds it to the table in `docs/how-to/operations.md`.
"""

import logging
from typing import NamedTuple

from chirp.middleware.sessions import metering
from chirp.middleware.sessions.models import Unfit
from chirp.middleware.sessions.session_id import is_handle, name_of

log: logging.Logger = logging.getLogger("chirp.sessions")


class Event(NamedTuple):
    """Something that has happened to a session.

    Attributes:
        name: the field `event` of its records.
        level: of its records.
        text: what a reader is told.
    """

    name: str
    level: int
    text: str


CREATED = Event("created", logging.DEBUG, "created")
MIGRATED = Event("migrated", logging.INFO, "taken over from a predecessor")
TOUCHED = Event("touched", logging.DEBUG, "its idle limit was moved on")
MERGED = Event("merged", logging.DEBUG, "a change was merged with what others had stored meanwhile")
ROTATED = Event("rotated", logging.INFO, "moved to a new id; the old one is dead")
RENEWED = Event("renewed", logging.INFO, "moved to a new id; the old one leads there for the grace")
REGENERATED = Event("regenerated", logging.INFO, "begun under a new id; the old one is dead")
ENDED = Event("ended", logging.INFO, "ended by its own request")
REVOKED = Event("revoked", logging.INFO, "ended from outside of its requests")
CLOSED = Event("closed", logging.INFO, "an open connection of it was closed, since it has ended")
EXPIRED = Event("expired", logging.INFO, "presented, but it has expired")
UNKNOWN = Event("unknown", logging.INFO, "presented, but the store does not have it")
CORRUPT = Event("corrupt", logging.WARNING, "what is stored is corrupt or foreign; the request is anonymous")
INVALID = Event("invalid", logging.WARNING, "what is stored does not fit the model; the request is anonymous")


def tell(event: Event, key: str, handle: str | None = None, *, previous: str | None = None) -> None:
    """Log and count an event.

    Args:
        event: one of this module.
        key: of the session's document.
        handle: of the session, where it is known.
        previous: the key that led to the session before, where it has another one now.
    """
    if log.isEnabledFor(event.level):
        session = name_of(key)
        fields = {"event": event.name, "session": session, "handle": handle}
        if previous is not None:
            fields["previous"] = name_of(previous)
        log.log(event.level, "session %s: %s", session, event.text, extra=fields, stacklevel=2)
    if metering.current is not None:
        metering.current.count(event.name)


def tell_invalid(key: str, handle: str, unfit: Unfit) -> None:
    """Log and count a session whose data does not fit the model.

    Args:
        key: of its document; empty for one in a cookie.
        handle: as it stands in the document.
        unfit: where it does not fit.
    """
    session = name_of(key) if key else None
    fields = {"event": INVALID.name, "session": session, "handle": handle if is_handle(handle) else None}
    place = session or "in a cookie"
    log.warning("session %s: %s: %s%s", place, INVALID.text, unfit.path, unfit.why, extra=fields, stacklevel=2)
    if metering.current is not None:
        metering.current.count(INVALID.name)


def outage(session: str | None) -> dict[str, str | None]:
    """Return the fields for a record of an outage: of the session that it hit, by its name, where that is known."""
    return {"event": "unavailable", "session": session}


def refusal() -> dict[str, str | None]:
    """Return the fields for a record of a login that `max_sessions_per_user` does not allow; no session is stored."""
    return {"event": "refused", "session": None}
