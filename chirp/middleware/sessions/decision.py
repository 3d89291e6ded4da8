"""Which outcome a request has: the rows of the end-of-request table, decided from facts. Pure; knows no session."""

from enum import Enum
from typing import assert_never


class Found(Enum):
    """What the presented cookie led to when the request began."""

    NOTHING_PRESENTED = "nothing presented"  # no cookie, or a malformed one: the store was not asked
    UNKNOWN = "unknown"  # nothing there, or something expired or corrupt
    ENDED = "ended"  # a tombstone
    LIVE = "live"
    UNREACHABLE = "unreachable"  # the store is out and the app runs on without it


class Ask(Enum):
    """What the handler asked for, beyond changing data."""

    KEEP = "keep"
    END = "end"
    REGENERATE = "regenerate"
    ROTATE = "rotate"
    RENEW = "renew"  # a rotation that requests in flight may follow


class Outcome(Enum):
    """What is to happen at the end of the request; the store that carries it out matches all of them."""

    NOTHING = "nothing"
    CREATE = "create"
    TOUCH = "touch"
    WRITE = "write"
    END = "end"
    REGENERATE = "regenerate"
    ROTATE = "rotate"
    RENEW = "renew"
    REFUSE = "refuse"  # an end or a new id that an unreachable store cannot give must not be pretended
    LOSE = "lose"  # data that an unreachable store cannot keep


def decide(found: Found, ask: Ask, *, holds_data: bool, changed: bool, user_changed: bool, touch_due: bool) -> Outcome:
    """Return what is to happen at the end of a request.

    Args:
        found: what the cookie led to.
        ask: what the handler asked for.
        holds_data: whether the session has any key now.
        changed: its encoded data differs from what was loaded.
        user_changed: the value under `user_key` does.
        touch_due: `last_seen_at` lags by the touch interval or more.
    """
    if ask is Ask.END and holds_data:
        ask = Ask.REGENERATE
    if user_changed and holds_data and ask in (Ask.KEEP, Ask.ROTATE, Ask.RENEW):
        # A change of user without a new id would let whoever planted the old id in (session fixation).
        ask = Ask.ROTATE if found is Found.LIVE else Ask.REGENERATE
    match found:
        case Found.LIVE:
            return _decide_live(ask, changed=changed, touch_due=touch_due)
        case Found.NOTHING_PRESENTED | Found.UNKNOWN:
            if ask is Ask.REGENERATE:
                return Outcome.REGENERATE
            return Outcome.CREATE if holds_data else Outcome.NOTHING
        case Found.ENDED:
            return Outcome.REGENERATE if ask is Ask.REGENERATE else Outcome.NOTHING
        case Found.UNREACHABLE:
            if ask is not Ask.KEEP:
                return Outcome.REFUSE
            return Outcome.LOSE if holds_data else Outcome.NOTHING
        case never:
            assert_never(never)


def _decide_live(ask: Ask, *, changed: bool, touch_due: bool) -> Outcome:
    match ask:
        case Ask.KEEP:
            if changed:
                return Outcome.WRITE
            return Outcome.TOUCH if touch_due else Outcome.NOTHING
        case Ask.END:
            return Outcome.END
        case Ask.REGENERATE:
            return Outcome.REGENERATE
        case Ask.ROTATE:
            return Outcome.ROTATE
        case Ask.RENEW:
            return Outcome.RENEW
        case never:
            assert_never(never)
