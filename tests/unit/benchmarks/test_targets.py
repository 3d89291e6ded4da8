"""Each target finds its figure where a run leaves it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import asgi, lookup, micro, results, scale
from benchmarks.http import settings as http_settings
from benchmarks.targets import TARGETS, Target, measured

FULL_TASKS = {"micro": micro.FULL.tasks, "asgi": asgi.FULL.tasks, "scale": scale.FULL.concurrency}
SCENARIOS = {"micro": micro.SCENARIO, "asgi": asgi.SCENARIO, "scale": scale.CONCURRENCY}


def results_of(name: str) -> dict[str, Any]:
    """What a full run of `name` leaves, as far as targets look at it, with another number in each place."""
    scenario = SCENARIOS[name]
    numbers = iter(range(1, 10_000))
    cases = [{"action": action, "tasks": tasks} for action in ("read", "change") for tasks in FULL_TASKS[name]]
    return {
        "scenarios": {
            scenario.name: {
                "medians": [
                    {**case, "contender": kind.name, "most_connections": next(numbers)}
                    for case in cases
                    for kind in scenario.contenders
                ],
                "ratios": [
                    {"name": ratio.name, "values": [{**case, "median": next(numbers)} for case in cases]}
                    for ratio in scenario.ratios
                ],
            }
        }
    }


@pytest.mark.parametrize("target", [one for one in TARGETS if one.file in SCENARIOS], ids=lambda one: one.name)
def test_figure_is_where_a_full_run_leaves_it(target: Target, tmp_path: Path) -> None:
    """Names of contenders and ratios, and the numbers of tasks, are those of the run."""
    results.write(tmp_path / f"{target.file}.json", results_of(target.file))
    assert dict(measured(tmp_path))[target] is not None


def test_http_target_is_of_reads_and_changes_in_equal_parts(tmp_path: Path) -> None:
    """At 64 connections: within each round the time of a read and a change, the peer's divided by chirp's."""
    assert 64 in http_settings.FULL.connections
    rates = {"chirp on Redis": (4000, 1000), "signed cookie": (2000, 2000), "starsessions": (1000, 250)}
    rows = [
        {
            "round": number,
            "connections": connections,
            "contender": name,
            "read": {"requests_per_second": read / connections * number},
            "change": {"requests_per_second": change / connections * number},
        }
        for number in (1, 2, 3)
        for connections in (1, 64)
        for name, (read, change) in rates.items()
    ]
    results.write(tmp_path / "http.json", {"rounds": rows})
    figures = [figure for target, figure in measured(tmp_path) if target.file == "http"]
    assert figures == pytest.approx([0.8, 4.0])


def test_worse_action_counts(tmp_path: Path) -> None:
    """Of connections and p99 / p50, a target takes the larger one."""
    found = results_of("scale")
    scenario = found["scenarios"][scale.CONCURRENCY.name]
    for row in scenario["medians"]:
        row["most_connections"] = 7 if row["action"] == "change" else 2
    for row in scenario["ratios"][0]["values"]:
        row["median"] = 1.5 if row["action"] == "change" else 2.5
    results.write(tmp_path / "scale.json", found)
    figures = {target.name: figure for target, figure in measured(tmp_path)}
    assert figures["connections at 1,000 requests at once"] == 7
    assert figures["p99 / p50 at 1,000 requests at once"] == 2.5


def test_memory_of_a_shorter_run_is_no_figure(tmp_path: Path) -> None:
    """The target is for a million requests."""
    name = "memory after 1,000,000 / 10,000 requests"
    for requests, expected in (("4,000 / 1,000", None), ("1,000,000 / 10,000", 1.01)):
        ratios = [{"name": f"resident_bytes after {requests} requests", "median": 1.01}]
        (tmp_path / "memory.json").write_text(json.dumps({"requests": {"ratios": ratios}}))
        assert {target.name: figure for target, figure in measured(tmp_path)}[name] == expected


@pytest.mark.parametrize(("at_least", "reached"), [(True, [False, True, True]), (False, [True, True, False])])
def test_limit_itself_is_reached(at_least: bool, reached: list[bool]) -> None:
    """A target says at least, or at most."""
    target = Target("any", "micro", 2, 3, lambda _: 0.0, at_least)
    assert [target.reached(figure, 2) for figure in (1.9, 2, 2.1)] == reached


def test_lookup_of_what_is_not_there_says_so() -> None:
    """Neither a wrong name nor noise is taken for a figure."""
    scenario = results_of("micro")["scenarios"]["store"]
    with pytest.raises(LookupError, match="no figure"):
        lookup.median(scenario, "nobody", "read", "most_connections")
    scenario["ratios"][0]["values"][0]["median"] = None
    with pytest.raises(LookupError, match="nothing to divide by"):
        lookup.ratio(scenario, scenario["ratios"][0]["name"], "read", tasks=1)
