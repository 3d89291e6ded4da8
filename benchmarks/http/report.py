"""The tables and the chart."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import charts, screen
from benchmarks.http.figures import COMPARED, OURS, ratio_name

TARGET_CONNECTIONS = 64  # those of the chart's bars, and of the project's targets
ACTIONS = ("read", "change")
CHARTED_PEERS = ("signed cookie", "starsessions")
SHOWN = {
    "per second": "requests_per_second",
    "p50 µs": "p50_us",
    "p99 µs": "p99_us",
    "server µs": "server_cpu_us",
}
SHARES = {"server %": "server_cpu_share", "load %": "generator_cpu_share"}


def show(results: dict[str, Any]) -> None:
    """Print one table of figures and one of ratios."""
    screen.head(results)
    screen.console.print("\nserver µs: its CPU per request; %: of a core, by the server and by the load generator")
    screen.console.print(_figures(results["medians"]))
    for figure in COMPARED:
        screen.console.print()
        screen.console.print(_ratios(figure, results["ratios"], results["settings"]["connections"]))
    for warning in results["warnings"]:
        screen.console.print(f"warning: {warning}", style="yellow", markup=False)


def _figures(medians: Iterable[Mapping[str, Any]]) -> Table:
    table = screen.table("action", "at once", "contender", *SHOWN, *SHARES, text=3)
    before = None
    for row in medians:
        group = (row["action"], row["connections"])
        if before not in (None, group):
            table.add_section()
        labels = ("", "") if group == before else (row["action"], str(row["connections"]))
        before = group
        figures = [screen.number(row[figure]) for figure in SHOWN.values()]
        shares = ["-" if row[figure] is None else f"{100 * row[figure]:.0f}" for figure in SHARES.values()]
        table.add_row(*labels, row["contender"], *figures, *shares)
    return table


def _ratios(figure: str, ratios: Iterable[Mapping[str, Any]], connections: Sequence[int]) -> Table:
    heading = f"{OURS}, {COMPARED[figure]}"
    table = screen.table(heading, "action", *(f"{count} at once" for count in connections), text=2)
    for ratio in ratios:
        if ratio["figure"] == figure:
            for action in ACTIONS:
                cells = [screen.number(value["median"]) for value in ratio["values"] if value["action"] == action]
                table.add_row(f"/ {ratio['peer']}", action, *cells)
    return table


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the chart: requests per second at 64 connections, and the ratios over the connections."""
    counts = results["settings"]["connections"]
    shown = TARGET_CONNECTIONS if TARGET_CONNECTIONS in counts else counts[-1]
    speed = {
        (row["action"], row["connections"], row["contender"]): row["requests_per_second"] for row in results["medians"]
    }
    ratio = {
        (one["name"], value["action"], value["connections"]): value["median"]
        for one in results["ratios"]
        for value in one["values"]
    }
    with charts.chart(path, "Requests per second of one uvicorn worker", 2, 2, height=6.4) as axes:
        for action, panel in zip(ACTIONS, axes[:2], strict=True):
            values = {name: speed[action, shown, name] for name in results["contenders"]}
            charts.bars(panel, f"{action}, {shown} connections", values, colours={OURS: charts.CHIRP})
        for action, panel in zip(ACTIONS, axes[2:], strict=True):
            rows = {
                f"/ {peer}": [ratio[ratio_name(peer, "requests_per_second"), action, count] for count in counts]
                for peer in CHARTED_PEERS
            }
            charts.lines(panel, f"{action}, {OURS} / peer", counts, rows, label="connections")
