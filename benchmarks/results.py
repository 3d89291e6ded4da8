"""From figures to the file: medians and ratios, computed from what is written there and nothing else."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.rounds import Measurement, Settings
from benchmarks.scenarios.scenario import Ratio, Scenario
from benchmarks.sessions import ACTIONS, PAYLOAD_BYTES

FIGURES = ("cpu_us", "wall_us", "p50_us", "p99_us", "operations_per_second")
ROW_DEPTH = 4  # what lies deeper in the file stands on one line


def settings_of(settings: Settings) -> dict[str, Any]:
    return {
        "rounds": settings.rounds,
        "warm_up_rounds": 1,
        "tasks": list(settings.tasks),
        "operations": settings.operations,
        "payload_bytes": PAYLOAD_BYTES,
        "actions": ACTIONS,
    }


def scenario_of(scenario: Scenario, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Return a scenario's part of the results: contenders, every measurement, medians of the rounds, ratios."""
    return {
        "description": scenario.description,
        "contenders": {
            kind.name: {"description": kind.description, "most_operations": kind.most_operations}
            for kind in scenario.contenders
        },
        "rounds": [_raw(measurement) for measurement in measurements],
        "medians": list(_medians(scenario, measurements)),
        "ratios": [
            {"name": ratio.name, "meaning": ratio.meaning, "values": list(_values(ratio, measurements))}
            for ratio in scenario.ratios
        ],
    }


def _raw(measurement: Measurement) -> dict[str, Any]:
    return {
        "round": measurement.round,
        "tasks": measurement.tasks,
        "contender": measurement.contender,
        "connections": asdict(measurement.connections),
        **{
            action: {"operations": figures.operations, **{name: _short(getattr(figures, name)) for name in FIGURES}}
            for action, figures in measurement.figures.items()
        },
    }


def _medians(scenario: Scenario, measurements: Sequence[Measurement]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[int, str], list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        groups[measurement.tasks, measurement.contender].append(measurement)
    for action in ACTIONS:
        for tasks in sorted({tasks for tasks, _ in groups}):
            for kind in scenario.contenders:
                group = groups[tasks, kind.name]
                yield {
                    "action": action,
                    "tasks": tasks,
                    "contender": kind.name,
                    **{name: _median(getattr(one.figures[action], name) for one in group) for name in FIGURES},
                    "most_connections": max(one.connections.most for one in group),
                }


def _values(ratio: Ratio, measurements: Sequence[Measurement]) -> Iterator[dict[str, Any]]:
    """Give the ratio for each action and number of tasks: the median of its values in the rounds, and their range."""
    numbers = sorted({one.round for one in measurements})
    for action in ACTIONS:
        for tasks in sorted({one.tasks for one in measurements}):
            turns = (
                {
                    one.contender: one.figures[action]
                    for one in measurements
                    if (one.round, one.tasks) == (number, tasks)
                }
                for number in numbers
            )
            values = [value for turn in turns if (value := ratio.of(turn)) is not None]
            yield {
                "action": action,
                "tasks": tasks,
                "rounds": len(values),
                "median": _median(values) if values else None,
                "least": _short(min(values)) if values else None,
                "most": _short(max(values)) if values else None,
            }


def _median(values: Iterable[float]) -> float:
    return _short(statistics.median(values))


def _short(value: float) -> float:
    """Cut what no clock can tell: five significant digits stay."""
    return float(f"{value:.5g}")


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the file, one line for each measurement, median and ratio."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(results, 0) + "\n", encoding="utf-8")


def _text(value: Any, depth: int) -> str:
    if depth >= ROW_DEPTH or not value or not isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {_text(inner, depth + 1)}" for key, inner in value.items()]
        opening, closing = "{}"
    else:
        lines = [_text(inner, depth + 1) for inner in value]
        opening, closing = "[]"
    margin = " " * depth
    return f"{opening}\n" + ",\n".join(f"{margin} {line}" for line in lines) + f"\n{margin}{closing}"
