"""Sessions one by one: found, and told in a line or in full."""

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.table import Table

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.codec import LARGEST_STAMP
from chirp.middleware.sessions.directory import AT_ONCE, DirectoryStore, SessionInfo
from chirp.middleware.sessions.session_id import is_handle
from chirp.operations.words import NOBODY, bytes_text, grid, span, user_text, visible

Advance = Callable[[float], None]  # is told how much has been looked through, from 0 to 1

HANDLE_WIDTH, USER_WIDTH = 16, 24  # characters
HEADING = (
    f"{'HANDLE':<{HANDLE_WIDTH}}  {'USER':<{USER_WIDTH}}  {'CREATED':>7}  {'SEEN':>7}  {'ENDS IN':>7}  {'SIZE':>8}"
)


class Row(NamedTuple):
    """One session and how long it lives.

    Attributes:
        info: of the session.
        left: seconds until the server deletes it, if it is not seen before; infinite if it never does.
        now: Unix seconds at which that was so.
    """

    info: SessionInfo
    left: float
    now: float

    def as_json(self) -> dict[str, Any]:
        """Return the facts in the form that docs/reference/command-line.md gives."""
        info = self.info
        return {
            "handle": info.handle,
            "user_id": info.user_id,
            "created_at": info.created_at,
            "last_seen_at": info.last_seen_at,
            "expires_at": None if math.isinf(self.left) else round(self.now + self.left, 3),
            "size": info.size,
            "user_agent": info.user_agent,
            "address": info.address,
        }

    def as_line(self) -> str:
        """Return the facts in one line, as `HEADING` names them."""
        info = self.info
        user = user_text(info.user_id)
        if cell_len(user) > USER_WIDTH:
            user = set_cell_size(user, USER_WIDTH - 1) + "…"
        created, seen = span(self.now - info.created_at), span(self.now - info.last_seen_at)
        return (
            f"{info.handle or NOBODY:<{HANDLE_WIDTH}}  {set_cell_size(user, USER_WIDTH)}  {created:>7}  {seen:>7}  "
            f"{span(self.left):>7}  {bytes_text(info.size):>8}"
        )

    def as_table(self) -> Table:
        """Return the facts in full."""
        info = self.info
        client = {"user agent": info.user_agent, "address": info.address}
        ends = "never" if math.isinf(self.left) else f"{moment(self.now + self.left)}, in {span(self.left)}"
        return grid(
            [
                ("handle", info.handle),
                ("user", user_text(info.user_id)),
                ("created", f"{moment(info.created_at)}, {span(self.now - info.created_at)} ago"),
                ("last seen", f"{moment(info.last_seen_at)}, {span(self.now - info.last_seen_at)} ago"),
                ("ends", f"{ends}, if it is not seen before"),
                ("size", bytes_text(info.size)),
                *((name, visible(value)) for name, value in client.items() if value is not None),
            ]
        )


def moment(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(min(seconds, LARGEST_STAMP - 1) // 1, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def check_handle(text: str) -> str:
    """Return a handle as it was given.

    Raises:
        ConfigurationError: it is none.
    """
    if not is_handle(text):
        raise ConfigurationError("a handle is 1 to 64 letters, digits, - and _, as `chirp sessions list` shows it")
    return text


async def rows_of(store: DirectoryStore, infos: Sequence[SessionInfo]) -> list[Row]:
    """Return sessions with the time that they have left; what is gone meanwhile is left out.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    now = store.clock()
    return [Row(info, left, now) for info, left in zip(infos, await store.time_left(infos), strict=True) if left > 0]


async def listed(store: DirectoryStore, users: Sequence[Any], advance: Advance) -> AsyncGenerator[list[Row], None]:
    """Yield sessions, a few at a time: those of the users, or all where there are none.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    for user in users:
        infos = await store.list_sessions(user)
        for start in range(0, len(infos), AT_ONCE):
            yield await rows_of(store, infos[start : start + AT_ONCE])
    if not users:
        async with aclosing(store.scan_sessions()) as scans:
            async for scan in scans:
                if scan.sessions:
                    yield await rows_of(store, scan.sessions)
                advance(scan.progress)


async def find(store: DirectoryStore, handle: str, users: Sequence[Any], advance: Advance) -> SessionInfo | None:
    """Return the live session with a handle: among those of the users, or among all where there are none.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    for user in users:
        found = await store.find_session(handle, user_id=user)
        if found is not None:
            return found
    if not users:
        async with aclosing(store.scan_sessions()) as scans:
            async for scan in scans:
                for info in scan.sessions:
                    if info.handle == handle:
                        return info
                advance(scan.progress)
    return None
