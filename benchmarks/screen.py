"""What a person at the terminal sees: progress while it runs, tables afterwards."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 100)
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


def show(results: dict[str, Any]) -> None:
    """Print one table of figures and one of ratios for each scenario."""
    versions, machine, settings = results["versions"], results["machine"], results["settings"]
    console.print(
        f"{versions['server']}, {versions['python']}, redis-py {versions['redis']}, hiredis {versions['hiredis']}, "
        f"{machine['cores']} cores; medians of {settings['rounds']} rounds, {settings['payload_bytes']}-byte sessions"
    )
    for name, scenario in results["scenarios"].items():
        console.print(f"\n[bold]{name}[/]: {scenario['description']}")
        console.print(_figures(scenario["medians"]))
        console.print(_ratios(scenario["ratios"], settings["tasks"]))


def _figures(medians: Iterable[dict[str, Any]]) -> Table:
    table = _table("action", "tasks", "contender", "CPU µs", "p50 µs", "p99 µs", "per second", "connections")
    before = None
    for row in medians:
        group = (row["action"], row["tasks"])
        if before not in (None, group):
            table.add_section()
        labels = ("", "") if group == before else (row["action"], str(row["tasks"]))
        before = group
        table.add_row(
            *labels,
            row["contender"],
            *(_number(row[figure]) for figure in ("cpu_us", "p50_us", "p99_us", "operations_per_second")),
            str(row["most_connections"]),
        )
    return table


def _ratios(ratios: Iterable[dict[str, Any]], tasks: Sequence[int]) -> Table:
    table = _table("ratio", "action", *(f"{count} tasks" for count in tasks))
    for ratio in ratios:
        by_action: dict[str, list[str]] = {}
        for value in ratio["values"]:
            by_action.setdefault(value["action"], []).append(_number(value["median"]))
        for action, cells in by_action.items():
            table.add_row(ratio["name"], action, *cells)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        text = column in ("action", "contender", "ratio")
        table.add_column(column, justify="left" if text else "right", no_wrap=True)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
