"""The tables and the chart."""

from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import charts, screen

MIB = 2**20
BYTES = {
    "key": "key_bytes",
    "value": "value_bytes",
    "MEMORY USAGE": "memory_usage_bytes",
    "used": "used_bytes",
    "dataset": "dataset_bytes",
    "resident": "resident_bytes",
}
SHOWN = 10  # of the samples, besides those after which objects were counted


def show(results: dict[str, Any]) -> None:
    """Print the process's memory over the requests, and the bytes of a session in Redis."""
    screen.head(results)
    requests, stored = results["requests"], results["stored"]
    screen.console.print(f"\n[bold]requests[/]: {requests['description']}")
    screen.console.print(_samples(requests["rounds"][-1]["samples"]))
    for ratio in requests["ratios"]:
        screen.console.print(f"{ratio['name']}: {_ratio(ratio['median'])}", markup=False)
    screen.console.print(f"\n[bold]stored[/]: {stored['description']}")
    screen.console.print(_stored(stored))


def _ratio(value: float | None) -> str:
    """Write a ratio near 1, where three digits would hide what it has grown by."""
    return "-" if value is None else f"{value:.4f}"


def _some(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    apart = max(1, len(samples) // SHOWN)
    return [sample for number, sample in enumerate(samples, 1) if "objects" in sample or number % apart == 0]


def _samples(samples: list[dict[str, Any]]) -> Table:
    table = screen.table("requests", "resident MiB", "objects", text=0)
    for sample in _some(samples):
        resident, objects = sample["resident_bytes"], sample.get("objects")
        table.add_row(
            f"{sample['requests']:,}",
            "-" if resident is None else f"{resident / MIB:.2f}",
            "" if objects is None else f"{objects:,}",
        )
    return table


def _stored(stored: dict[str, Any]) -> Table:
    table = screen.table("bytes for each", "how many", *BYTES)
    for row in stored["sessions"]:
        name = f"session of {row['payload_bytes']} bytes"
        table.add_row(name, f"{row['sessions']:,}", *(screen.number(row.get(figure)) for figure in BYTES.values()))
    row = stored["tombstones"]
    table.add_row("tombstone", f"{row['tombstones']:,}", *(screen.number(row.get(figure)) for figure in BYTES.values()))
    return table


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the chart: memory over the requests, and bytes for each session in Redis."""
    samples = _some(results["requests"]["rounds"][-1]["samples"])
    stored = results["stored"]
    with charts.chart(path, "Memory: of a process over its requests, of sessions in Redis", 1, 1, height=5.6) as axes:
        if samples[0]["resident_bytes"] is not None:
            rows = {"MiB": [sample["resident_bytes"] / MIB for sample in samples]}
            over = [sample["requests"] for sample in samples]
            colours = {"MiB": charts.CHIRP}
            axes[0].update_datalim([(0, 1.25 * max(rows["MiB"]))])  # a level line is not to lie on the upper edge
            charts.lines(axes[0], "resident MiB of the process", over, rows, colours=colours, label="requests served")
        values = {
            f"session of {row['payload_bytes']:,} bytes, one of {row['sessions']:,}": row["used_bytes"]
            for row in sorted(stored["sessions"], key=lambda row: row["payload_bytes"])
        }
        ended = stored["tombstones"]
        values[f"tombstone of an ended session, one of {ended['tombstones']:,}"] = ended["used_bytes"]
        charts.bars(axes[1], "bytes of Redis memory for each", values, colours=dict.fromkeys(values, charts.CHIRP))
