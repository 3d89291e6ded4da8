"""What the soak has shown: tables, and requests over time as a chart."""

from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import charts, screen


def show(results: dict[str, Any]) -> None:
    """Print what was found and what each event meant for requests."""
    screen.head(results)
    screen.console.print(_found(results["phases"]))
    for name, phase in results["phases"].items():
        screen.console.print(f"\n[bold]{name}[/]: {phase['description']}")
        screen.console.print(_events(phase["events"]))


def _found(phases: dict[str, Any]) -> Table:
    table = screen.table("found", *phases)
    table.add_row("requests", *(f"{phase['requests']:,}" for phase in phases.values()))
    table.add_row("refused with 503", *(f"{phase['statuses'].get('503', 0):,}" for phase in phases.values()))
    for what in next(iter(phases.values()))["found"]:
        table.add_row(what.replace("_", " "), *(f"{phase['found'][what]:,}" for phase in phases.values()))
    return table


def _events(events: list[dict[str, Any]]) -> Table:
    table = screen.table(
        "event", "down s", "first answer s", "last refusal s", "refused", "undone", "longest request s"
    )
    for event in events:
        table.add_row(
            event["name"],
            screen.number(event["down_seconds"]),
            screen.number(event["first_answer_seconds"]),
            screen.number(event["last_refusal_seconds"]),
            f"{event['refused']:,}",
            f"{event['undone']:,}",
            screen.number(event["longest_seconds"]),
        )
    return table


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the chart: requests answered and refused in each second, with the events."""
    phases = results["phases"]
    with charts.chart(path, "Requests while servers fail", *(1 for _ in phases), height=3.2 * len(phases)) as axes:
        for panel, (name, phase) in zip(axes, phases.items(), strict=True):
            answered, refused = zip(*phase["timeline"], strict=True)
            seconds = range(len(answered))
            colors = (charts.CHIRP_PALE, charts.PEER_DARK)
            panel.stackplot(
                seconds, answered, refused, step="post", labels=("answered", "refused with 503"), colors=colors
            )
            for event in phase["events"]:
                panel.axvline(event["at_seconds"], color=charts.INK, linewidth=0.6, linestyle=":")
            panel.set_title(f"{name}: requests in each second; dotted where something is done to a server")
            panel.set_xlabel("seconds")
            panel.margins(x=0)
            panel.set_ylim(top=1.3 * max(map(sum, phase["timeline"])))
            panel.legend(loc="upper right", ncols=2, frameon=False)
