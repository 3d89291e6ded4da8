"""What a person at the terminal sees: progress while it runs, tables afterwards."""

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
errors = Console(highlight=False, stderr=True)


def progress() -> Progress:
    """Return a progress bar, which shows on a terminal only and is gone afterwards."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def head(results: dict[str, Any]) -> None:
    """Print what the figures depend on, in one line."""
    versions, machine, settings = results["versions"], results["machine"], results["settings"]
    parts = [versions["server"], versions["python"], f"redis-py {versions['redis']}", f"hiredis {versions['hiredis']}"]
    parts.append(f"{machine['cores']} cores")
    if rounds := settings.get("rounds"):
        parts.append(f"medians of {rounds} rounds")
    console.print(", ".join(parts), markup=False)


def table(*columns: str, text: int = 1) -> Table:
    """Return an empty table whose first `text` columns hold words; the others hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < text else "right", no_wrap=True)
    return made


def number(value: float | None) -> str:
    """Write three significant digits, and all of those before the point; `-` for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
