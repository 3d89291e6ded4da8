"""What one browser may see, whatever happened to its servers. Pure: no network, no clock; time is an argument.

A request that got no answer, or a 503, may have happened or not. So what is expected is a range: of each counter, from
the last value that an answer has shown to the last one that was ever sent. The browser sends rising values, one at a
time for each counter, so every value in between was once sent.

A server that fails over may lose what it acknowledged just before. Such times are told to `Losses`; what is missing
then is counted as undone, and anything else as lost.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FINDINGS = ("wrong_sessions", "revived_sessions", "lost_writes", "lost_sessions")
KEPT_DEAD = 20
MOST_EXAMPLES = 5


@dataclass
class Losses:
    """Times in which what was acknowledged may be lost: none, where the server writes to disk before it answers."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def excuse(self, when: float) -> bool:
        return any(begin <= when <= end for begin, end in self.spans)


@dataclass
class Findings:
    """What was seen that should not have been.

    Attributes:
        counts: by the names in `FINDINGS`.
        examples: the first few, in words.
        undone: when that was acknowledged which a failover has undone.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    undone: list[float] = field(default_factory=list)

    def add(self, name: str, words: str) -> None:
        self.counts[name] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{name}: {words}")


@dataclass
class Counted:
    """One counter: an answer has shown `shown` (at that time), and `sent` is the last value that was asked for."""

    shown: int = 0
    shown_at: float = 0.0
    sent: int = 0


@dataclass(frozen=True)
class Asked:
    """What was certain when a request began.

    Attributes:
        marker: whose session the cookie leads to.
        cookie: that was sent.
        shown: of each counter, and since when.
        at: when it began.
        alone: no other request of this browser changed which session it has meanwhile.
    """

    marker: str | None
    cookie: str | None
    shown: Mapping[str, tuple[int, float]]
    at: float
    alone: bool


class Expected:
    """What a browser's session may hold.

    Attributes:
        marker: whose session it is; None: of nobody.
        cookie: that the browser sends.
        doubtful: a request that ends or replaces the session was not answered, so it may be gone.
        dead: cookies that lead nowhere any more, and since when.
    """

    def __init__(self, name: str, keys: tuple[str, ...], losses: Losses, findings: Findings) -> None:
        self._name = name
        self._losses = losses
        self._findings = findings
        self._logins = 0
        self._since = 0.0  # when the present cookie was acknowledged
        self.keys = keys
        self.marker: str | None = None
        self.cookie: str | None = None
        self.doubtful = False
        self.counters = {key: Counted() for key in keys}
        self.dead: list[tuple[str, float]] = []

    def ask(self, at: float, *, alone: bool) -> Asked:
        shown = {key: (counted.shown, counted.shown_at) for key, counted in self.counters.items()}
        return Asked(self.marker, self.cookie, shown, at, alone)

    def next_marker(self) -> str:
        self._logins += 1
        return f"{self._name}-{self._logins}"

    def next_value(self, key: str) -> int:
        self.counters[key].sent += 1
        return self.counters[key].sent

    def saw(self, asked: Asked, session: Mapping[str, Any], at: float) -> None:
        """An answer showed a session: it has to be this browser's, as new as what was shown before it was asked for."""
        if session.get("marker") != asked.marker:
            words = f"{self._name} has the session of {asked.marker} and saw that of {session.get('marker')}"
            self._findings.add("wrong_sessions", words)
            return
        if asked.marker != self.marker:
            return  # it has logged in or out meanwhile, and counts anew
        for key, (least, since) in asked.shown.items():
            value = session.get(key, 0)
            counted = self.counters[key]
            if value > counted.sent:
                self._findings.add("wrong_sessions", f"{asked.marker} saw {key}={value}, which it never sent")
            elif value < least:
                self._missing("lost_writes", f"{asked.marker} saw {key}={value} after {least}", since)
                if counted.shown == least:
                    counted.shown = value  # counted once
            elif asked.alone and value > counted.shown:
                counted.shown, counted.shown_at = value, at

    def saw_nothing(self, asked: Asked) -> None:
        """An answer said that the cookie leads to no session."""
        if asked.marker is None or not asked.alone or self.doubtful or asked.marker != self.marker:
            return
        self._missing("lost_sessions", f"the session of {asked.marker} is gone", self._since)
        self.doubtful = True  # counted once

    def saw_dead(self, cookie: str, session: Mapping[str, Any]) -> None:
        """A cookie that was acknowledged to be dead led to a session."""
        since = dict(self.dead)[cookie]
        self.dead.remove((cookie, since))  # counted once
        self._missing("revived_sessions", f"{session.get('marker')} came back to {self._name}", since)

    def _missing(self, name: str, words: str, since: float) -> None:
        if self._losses.excuse(since):
            self._findings.undone.append(since)
        else:
            self._findings.add(name, words)

    def logged_in(self, marker: str, cookie: str, at: float) -> None:
        self._bury(at)
        self.marker, self.cookie, self._since, self.doubtful = marker, cookie, at, False
        self.counters = {key: Counted() for key in self.keys}

    def rotated(self, cookie: str, at: float) -> None:
        self._bury(at)
        self.cookie, self._since = cookie, at

    def ended(self, at: float) -> None:
        """A logout was acknowledged."""
        self._bury(at)
        self.forget()

    def forget(self) -> None:
        """The browser has no session now."""
        self.marker = self.cookie = None
        self.doubtful = False

    def _bury(self, at: float) -> None:
        if self.cookie is not None:
            self.dead = [*self.dead, (self.cookie, at)][-KEPT_DEAD:]
