"""What one browser may see, whatever happened to its servers. Pure: no network, no clock; time is an argument.

A request that got no answer, or a 503, may have happened or not. So what is expected is a range: of each counter, from
the last value that an answer has shown to the last one that was ever sent. The browser sends rising values, one at a
time for each counter, so every value in between was once sent.

A renewal gives the session a new id, and requests that came with the old one reach it for the grace: they read and
write it as any other does, and set no cookie. After the grace, and after whatever ends the session, the old id is dead.

A server that fails over may lose what it acknowledged just before. Such times are told to `Losses`; what is missing
then is counted as undone, and anything else as lost.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.soak.settings import GRACE_SECONDS

FINDINGS = ("wrong_sessions", "revived_sessions", "lost_writes", "lost_sessions", "second_cookies")
KEPT_DEAD = 20
FOLLOWED = 3  # renewals in a row: the library follows four, and one may be on its way; from before more nothing is sure
CLOCK_SECONDS = 1.0  # the server counts the grace, and nobody here knows since when to the moment
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
        late: with a cookie from before a renewal that had been acknowledged.
    """

    marker: str | None
    cookie: str | None
    shown: Mapping[str, tuple[int, float]]
    at: float
    alone: bool
    late: bool


@dataclass(frozen=True)
class Way:
    """A cookie from before a renewal: it leads to what that gave, the next way or at last the present cookie.

    Attributes:
        cookie: the old one.
        asked: when the renewal was asked for.
        at: when it was acknowledged.
    """

    cookie: str
    asked: float
    at: float


@dataclass(frozen=True)
class Dead:
    """A cookie that leads nowhere any more, because of what was acknowledged at these times."""

    cookie: str
    since: tuple[float, ...]


class Expected:
    """What a browser's session may hold.

    Attributes:
        marker: whose session it is; None: of nobody.
        cookie: that the browser sends.
        doubtful: a request that ends or replaces the session was not answered, so it may be gone.
        ways: cookies that lead to it as well, the oldest first.
        dead: cookies that lead nowhere any more.
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
        self.ways: list[Way] = []
        self.dead: list[Dead] = []

    def ask(self, at: float, *, alone: bool, old_cookie: str | None = None) -> Asked:
        """Return what is certain, for a request with the present cookie or one from before a renewal."""
        shown = {key: (counted.shown, counted.shown_at) for key, counted in self.counters.items()}
        return Asked(self.marker, old_cookie or self.cookie, shown, at, alone, old_cookie is not None)

    def old_cookies(self, at: float) -> list[str]:
        """Return those from before renewals that lead to the session."""
        return [way.cookie for way in self.ways if self._leads(way.cookie, at)]

    def dead_cookies(self, at: float) -> list[str]:
        """Return those that lead nowhere: the grace of some is over."""
        while self.ways and at > self.ways[0].at + GRACE_SECONDS + CLOCK_SECONDS:
            way = self.ways.pop(0)
            self._die(way.cookie, way.at)
        return [dead.cookie for dead in self.dead]

    def _leads(self, cookie: str | None, at: float) -> bool:
        """Tell whether a cookie is certain to lead to the session until then."""
        if cookie == self.cookie:
            return True
        chain = self._chain(cookie)
        if not 0 < len(chain) <= FOLLOWED:
            return False
        # A failover that has undone half of a renewal leaves two sessions: one by the old id, one by the new.
        is_whole = not any(self._losses.excuse(way.at) for way in chain)
        return is_whole and at < chain[0].asked + GRACE_SECONDS - CLOCK_SECONDS

    def _chain(self, cookie: str | None) -> list[Way]:
        """Return the ways from a cookie to the present one; none if it leads nowhere."""
        return next((self.ways[number:] for number, way in enumerate(self.ways) if way.cookie == cookie), [])

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
        if self._chain(asked.cookie) and not self._leads(asked.cookie, at):
            return  # between the load and the save the grace may have ended
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

    def saw_nothing(self, asked: Asked, at: float) -> None:
        """An answer said that the cookie leads to no session."""
        if asked.marker is None or not asked.alone or self.doubtful or asked.marker != self.marker:
            return
        if not self._leads(asked.cookie, at):
            return
        renewals = len(self._chain(asked.cookie))
        by_old_id = f", by the id that it had {renewals} renewals before" if renewals else ""
        self._missing("lost_sessions", f"the session of {asked.marker} is gone{by_old_id}", self._since)
        self.doubtful = True  # counted once

    def saw_cookie(self, asked: Asked, cookie: str, at: float) -> None:
        """An answer set a cookie, or deleted it: whoever came with an id from before a renewal must get none."""
        if asked.cookie == self.cookie or not self._leads(asked.cookie, at):
            return
        if asked.late or cookie != asked.cookie:  # a touch that overtook the renewal may have repeated the old one
            words = f"{asked.marker} was given {'a' if cookie else 'no'} cookie in place of that of a renewal"
            self._findings.add("second_cookies", words)

    def saw_dead(self, cookie: str, session: Mapping[str, Any]) -> None:
        """A cookie that was acknowledged to be dead led to a session."""
        dead = next(dead for dead in self.dead if dead.cookie == cookie)
        self.dead.remove(dead)  # counted once
        self._missing("revived_sessions", f"{session.get('marker')} came back to {self._name}", *dead.since)

    def _missing(self, name: str, words: str, *since: float) -> None:
        """Something is not as it was acknowledged at these times; any of them may be undone."""
        undone = next(filter(self._losses.excuse, since), None)
        if undone is not None:
            self._findings.undone.append(undone)
        else:
            self._findings.add(name, words)

    def logged_in(self, marker: str, cookie: str, at: float) -> None:
        self._bury(at)
        self.marker, self.cookie, self._since, self.doubtful = marker, cookie, at, False
        self.counters = {key: Counted() for key in self.keys}

    def rotated(self, cookie: str, at: float) -> None:
        self._bury(at)
        self.cookie, self._since = cookie, at

    def renewed(self, cookie: str, asked: float, at: float) -> None:
        """A rotation that may be followed was acknowledged."""
        if self.cookie is not None:
            self.ways.append(Way(self.cookie, asked, at))
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
        """What leads to the session leads nowhere from now on."""
        for way in self.ways:
            self._die(way.cookie, *(each.at for each in self._chain(way.cookie)), at)
        self.ways.clear()
        if self.cookie is not None:
            self._die(self.cookie, at)

    def _die(self, cookie: str, *since: float) -> None:
        self.dead = [*self.dead, Dead(cookie, since)][-KEPT_DEAD:]
