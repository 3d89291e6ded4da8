"""What is stored, in words for a terminal or as JSON: nothing in it can command a terminal. Pure; no I/O, no clock."""

import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
NOBODY = "-"


def visible(text: str) -> str:
    """Return text in which what is not printable is written as JSON would write it."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in printable ASCII."""
    return json.dumps(value, indent=indent)


def contents(data: Any) -> str:
    """Return what an app keeps in a session as JSON for people, a line for each value."""
    lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    return "\n".join(map(visible, lines))


def user_text(user_id: Any) -> str:
    """Return a user's id as it is shown, and as it can be given back: 5 is the number, "5" with quotes the text."""
    if user_id is None:
        return NOBODY
    if isinstance(user_id, str) and user_id == user_id.strip() and user_id not in ("", NOBODY) and not is_json(user_id):
        return visible(user_id)
    return visible(json.dumps(user_id, ensure_ascii=False))


def is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def plural(number: int, what: str) -> str:
    """Return how many there are, as in `1 session` and `2,000 sessions`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit, rounded down; what is negative is none."""
    if math.isinf(seconds):
        return "never"
    whole = max(int(seconds), 0)
    size, unit = next(((size, unit) for size, unit in UNITS if whole >= size), UNITS[-1])
    return f"{whole // size} {unit}"


def bytes_text(number: int) -> str:
    """Return a number of bytes with a unit, as in `12.3 kB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def grid(facts: Iterable[tuple[str | Text, str | Text]]) -> Table:
    """Return names and values in two columns; no value is taken for markup."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for name, value in facts:
        rows.add_row(
            Text(name, "bold") if isinstance(name, str) else name, Text(value) if isinstance(value, str) else value
        )
    return rows
