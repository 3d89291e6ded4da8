"""From figures to the file: medians and ratios, computed from what is written there and nothing else."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.rounds import Measurement
from benchmarks.scenario import Case, Plan, Ratio, Scenario
from benchmarks.sessions import ACTIONS

FIGURES = ("cpu_us", "wall_us", "p50_us", "p99_us", "operations_per_second")
ROW_DEPTH = 4  # what lies deeper in the file stands on one line


def scenario_of(scenario: Scenario, plan: Plan, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Return a scenario's part of the results: contenders, every measurement, medians of the rounds, ratios."""
    return {
        "description": scenario.description,
        "varies": scenario.varies,
        "operations": plan.operations,
        "contenders": {
            kind.name: {"description": kind.description, "most_operations": kind.most_operations}
            for kind in scenario.contenders
        },
        "rounds": [_raw(measurement) for measurement in measurements],
        "medians": list(_medians(scenario, plan, measurements)),
        "ratios": [
            {"name": ratio.name, "meaning": ratio.meaning, "values": list(_values(ratio, plan, measurements))}
            for ratio in scenario.ratios
        ],
    }


def _raw(measurement: Measurement) -> dict[str, Any]:
    return {
        "round": measurement.round,
        **asdict(measurement.case),
        "contender": measurement.contender,
        "connections": asdict(measurement.connections),
        **{
            action: {"operations": figures.operations, **{name: short(getattr(figures, name)) for name in FIGURES}}
            for action, figures in measurement.figures.items()
        },
    }


def _medians(scenario: Scenario, plan: Plan, measurements: Sequence[Measurement]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[Case, str], list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        groups[measurement.case, measurement.contender].append(measurement)
    for action in ACTIONS:
        for case in plan.cases:
            for kind in scenario.contenders:
                group = groups[case, kind.name]
                yield {
                    "action": action,
                    **asdict(case),
                    "contender": kind.name,
                    **{name: _median(getattr(one.figures[action], name) for one in group) for name in FIGURES},
                    "most_connections": max(one.connections.most for one in group),
                }


def _values(ratio: Ratio, plan: Plan, measurements: Sequence[Measurement]) -> Iterator[dict[str, Any]]:
    """Give the ratio for each action and case: the median of its values in the rounds, and their range."""
    turns: dict[tuple[int, Case], list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        turns[measurement.round, measurement.case].append(measurement)
    for action in ACTIONS:
        for case in plan.cases:
            found = (
                ratio.of({one.contender: one.figures[action] for one in turns[number, case]})
                for number in range(1, plan.rounds + 1)
            )
            values = [value for value in found if value is not None]
            yield {"action": action, **asdict(case), **summary(values)}


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the median of what the rounds gave, and their range."""
    return {
        "rounds": len(values),
        "median": _median(values) if values else None,
        "least": short(min(values)) if values else None,
        "most": short(max(values)) if values else None,
    }


def _median(values: Iterable[float]) -> float:
    return short(statistics.median(values))


def short(value: float) -> float:
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
