"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is, worst first.

    Attributes:
        ERROR: sessions are lost, refused, revived or open to others, now or as soon as memory is full.
        WARNING: an accident, a restart or a failover would cost sessions.
        NOTE: worth knowing, or could not be looked at.
        OK: looked at, and as it should be.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: which; a name that stays.
        severity: how bad it is.
        found: what is so, with the value.
        reason: why it matters for sessions; empty when it is as it should be.
        remedy: a command, a line of configuration or what else to do; empty when it is as it should be.
        node: the server's address; empty where it is of a cluster as a whole.
    """

    check: str
    severity: Severity
    found: str
    reason: str = ""
    remedy: str = ""
    node: str = ""


def ok(check: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check, Severity.OK, found)
