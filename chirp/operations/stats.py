"""How many sessions there are, how large, how old, and how many people's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from rich.table import Table
from rich.text import Text

from chirp.middleware.sessions.codec import encode_user
from chirp.middleware.sessions.directory import DirectoryStore, Scan
from chirp.operations.figures import Distinct, Spread
from chirp.operations.place import Memory
from chirp.operations.words import bytes_text, grid, plural, span

HOUR, DAY = 3600, 86400
LAST_SEEN = (60, 10 * 60, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY)  # seconds
BAR = 40  # characters


class Stats:
    """What was found in all sessions so far; as large as it gets, some 20 MB.

    Args:
        now: Unix seconds, from which ages are counted.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self.sizes: Spread = Spread()
        self.ages: Spread = Spread()
        self.idle: Spread = Spread()
        self.users: Distinct = Distinct()
        self.with_user: int = 0
        self.tombstones: int = 0
        self.unreadable: int = 0
        self.last_seen: list[int] = [0] * (len(LAST_SEEN) + 1)

    def add(self, scan: Scan) -> None:
        """Count what one step of a look through the store has found."""
        self.tombstones += scan.tombstones
        self.unreadable += scan.unreadable
        for info in scan.sessions:
            idle = max(self._now - info.last_seen_at, 0.0)
            self.sizes.add(info.size)
            self.ages.add(max(int(self._now - info.created_at), 0))
            self.idle.add(int(idle))
            self.last_seen[sum(idle >= limit for limit in LAST_SEEN)] += 1
            user = encode_user(info.user_id)
            if user is not None:
                self.with_user += 1
                self.users.add(user)

    def as_json(self, memory: Sequence[Memory]) -> dict[str, Any]:
        """Return the figures in the form that docs/reference/command-line.md gives."""
        limits = (*LAST_SEEN, None)
        return {
            "sessions": self.sizes.count,
            "with_user": self.with_user,
            "without_user": self.sizes.count - self.with_user,
            "users": self.users.count,
            "users_exact": self.users.exact,
            "tombstones": self.tombstones,
            "unreadable": self.unreadable,
            "bytes": {"total": self.sizes.total, **quantiles(self.sizes)},
            "age_seconds": quantiles(self.ages),
            "idle_seconds": quantiles(self.idle),
            "last_seen": [
                {"within_seconds": limit, "sessions": count}
                for limit, count in zip(limits, self.last_seen, strict=True)
            ],
            "servers": [
                {"address": each.address, "used_bytes": each.used, "limit_bytes": each.limit or None} for each in memory
            ],
        }

    def as_table(self, memory: Sequence[Memory]) -> Table:
        """Return the figures as people read them."""
        return grid([*self._counts(), *self._spreads(), *map(memory_row, memory), ("", ""), *self._histogram()])

    def _counts(self) -> Iterator[tuple[str | Text, str]]:
        users = f"{'' if self.users.exact else 'about '}{plural(self.users.count, 'user')}"
        yield "sessions", f"{self.sizes.count:,}"
        yield "with a user", f"{self.with_user:,}, of {users}"
        yield "without", f"{self.sizes.count - self.with_user:,}"
        yield "ended lately", f"{self.tombstones:,}, remembered for the grace"
        if self.unreadable:
            reason = "corrupt, foreign, or with another created_at_key or last_seen_at_key"
            yield Text("unreadable", "bold yellow"), f"{self.unreadable:,}: {reason}"

    def _spreads(self) -> Iterator[tuple[str, str]]:
        for name, spread, text, most in (
            ("size", self.sizes, bytes_text, "largest"),
            ("age", self.ages, span, "oldest"),
            ("not seen for", self.idle, span, "longest"),
        ):
            if spread.count:
                median, p95 = text(spread.quantile(0.5)), text(spread.quantile(0.95))
                yield name, f"median {median}, 95 % up to {p95}, {most} {text(spread.largest)}"
        yield "documents", bytes_text(self.sizes.total)

    def _histogram(self) -> Iterator[tuple[str, Text]]:
        most = max(*self.last_seen, 1)
        names = [f"seen in the last {span(limit)}" for limit in LAST_SEEN] + ["longer ago"]
        for name, count in zip(names, self.last_seen, strict=True):
            yield name, Text.assemble(f"{count:>12,}  ", ("█" * round(BAR * count / most), "cyan"))


def memory_row(memory: Memory) -> tuple[str, str]:
    limit = f" of {bytes_text(memory.limit)}" if memory.limit else ", without a limit"
    return f"memory {memory.address}".rstrip(), bytes_text(memory.used) + limit


def quantiles(spread: Spread) -> dict[str, int]:
    return {"median": spread.quantile(0.5), "p95": spread.quantile(0.95), "largest": spread.largest}


async def take(store: DirectoryStore, advance: Callable[[float], None]) -> Stats:
    """Look through all sessions.

    Args:
        store: of the sessions.
        advance: is told how much has been looked through, from 0 to 1.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    stats = Stats(store.clock())
    async with aclosing(store.scan_sessions()) as scans:
        async for scan in scans:
            stats.add(scan)
            advance(scan.progress)
    return stats
