"""The tables of results that have scenarios."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from benchmarks.screen import console, head, number, table

UNITS = {"tasks": "tasks", "payload_bytes": "bytes", "nodes": "nodes"}


def show(results: dict[str, Any]) -> None:
    """Print one table of figures and one of ratios for each scenario."""
    head(results)
    for name, scenario in results["scenarios"].items():
        console.print(f"\n[bold]{name}[/]: {scenario['description']}")
        console.print(_figures(scenario["medians"], scenario["varies"]))
        if scenario["ratios"]:
            console.print()
            console.print(_ratios(scenario["ratios"], scenario["varies"]))


def _figures(medians: Iterable[dict[str, Any]], varies: str) -> Table:
    figures = table(
        "action", UNITS[varies], "contender", "CPU µs", "p50 µs", "p99 µs", "per second", "connections", text=3
    )
    before = None
    for row in medians:
        group = (row["action"], row[varies])
        if before not in (None, group):
            figures.add_section()
        labels = ("", "") if group == before else (row["action"], f"{row[varies]:,}")
        before = group
        figures.add_row(
            *labels,
            row["contender"],
            *(number(row[figure]) for figure in ("cpu_us", "p50_us", "p99_us", "operations_per_second")),
            str(row["most_connections"]),
        )
    return figures


def _ratios(ratios: Iterable[dict[str, Any]], varies: str) -> Table:
    ratios = list(ratios)
    over = dict.fromkeys(value[varies] for value in ratios[0]["values"])
    shown = table(f"ratio, by {UNITS[varies]}", "action", *(f"{one:,}" for one in over), text=2)
    for ratio in ratios:
        by_action: dict[str, list[str]] = {}
        for value in ratio["values"]:
            by_action.setdefault(value["action"], []).append(number(value["median"]))
        for action, cells in by_action.items():
            shown.add_row(ratio["name"], action, *cells)
    return shown
