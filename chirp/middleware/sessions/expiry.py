"""Idle limit, absolute limit and touch interval: arithmetic on times that are given.

All times are Unix seconds as floats, all durations seconds, TTLs whole milliseconds. A session that is exactly
at a limit is expired.
"""

import math
from dataclasses import dataclass, replace

TOUCH_FRACTION = 0.05
LONGEST_DEFAULT_TOUCH = 300.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lives.

    Attributes:
        window: seconds a session lives after it was last seen.
        absolute: seconds a session lives after it was created, however busy; None for no such limit.
        touch_interval: seconds for which `last_seen_at` may lag behind, so that not every request writes.
        idle: seconds that no session lives longer unseen, whatever its own `max_age`; None for no such limit.
        set_interval: the touch interval that somebody has chosen; None: it follows from the window.
    """

    window: float
    absolute: float | None
    touch_interval: float
    idle: float | None = None
    set_interval: float | None = None

    def of_session(self, max_age: float | None) -> "Lifetime":
        """Return the lifetime of a session with a `max_age` of its own; with None, that of all others."""
        if max_age is None:
            return self
        window = max_age if self.idle is None else min(max_age, self.idle)
        interval = self.set_interval
        if interval is None or interval >= window:
            interval = default_touch_interval(window)
        return replace(self, window=window, touch_interval=interval)

    def ends_at(self, created_at: float, last_seen_at: float) -> float:
        """Return the first moment at which the session is expired."""
        ends = last_seen_at + self.window
        if self.absolute is not None:
            ends = min(ends, created_at + self.absolute)
        return ends

    def is_expired(self, created_at: float, last_seen_at: float, now: float) -> bool:
        idle_for_too_long = now >= last_seen_at + self.window
        return idle_for_too_long or (self.absolute is not None and now >= created_at + self.absolute)

    def touch_due(self, last_seen_at: float, now: float) -> bool:
        """Tell whether `last_seen_at` has lagged long enough to be worth a write."""
        return now - last_seen_at >= self.touch_interval

    def ttl_ms(self, created_at: float, last_seen_at: float, now: float) -> int:
        """Return the milliseconds left, rounded up and at least 1: a TTL of 0 is an error to Redis."""
        return max(1, math.ceil((self.ends_at(created_at, last_seen_at) - now) * 1000))


def default_touch_interval(window: float) -> float:
    """Return 5 % of the sliding window, at most 300 seconds."""
    return min(window * TOUCH_FRACTION, LONGEST_DEFAULT_TOUCH)
