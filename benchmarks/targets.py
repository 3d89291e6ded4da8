"""What the figures are to reach, where each of them stands in the files, and which of them are reached."""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import lookup, screen

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One figure, and what it has to be.

    Attributes:
        name: for the table.
        file: the command whose results have the figure.
        must: what it has to reach.
        aim: what it should.
        figure: finds it in the results; LookupError if they do not have it.
        at_least: more is better, otherwise less.
    """

    name: str
    file: str
    must: float
    aim: float
    figure: Callable[[Results], float]
    at_least: bool = False

    def reached(self, figure: float, limit: float) -> bool:
        return figure >= limit if self.at_least else figure <= limit

    def written(self, limit: float) -> str:
        return f"{'≥' if self.at_least else '≤'} {screen.number(limit)}"


def _ratio(scenario: str, name: str, action: str, tasks: int = 100) -> Callable[[Results], float]:
    return lambda results: lookup.ratio(results["scenarios"][scenario], name, action, tasks=tasks)


def _instructions(action: str) -> Callable[[Results], float]:
    return lambda results: results["counts"][action]["ratio"]["median"]


def _most_connections(results: Results) -> float:
    """Return those of 1,000 requests at once, whichever action had more."""
    scenario = results["scenarios"]["concurrency"]
    return max(lookup.median(scenario, "chirp on Redis", action, "most_connections", tasks=1000) for action in _ACTIONS)


def _worst_tail(results: Results) -> float:
    """Return p99 / p50 of 1,000 requests at once, of the action whose tail is longer."""
    scenario = results["scenarios"]["concurrency"]
    return max(lookup.ratio(scenario, "p99 / p50", action, tasks=1000) for action in _ACTIONS)


def _http(peer: str) -> Callable[[Results], float]:
    """Divide the requests per second at 64 connections by the peer's, of reads and changes in equal parts."""
    return lambda results: _median_of_rounds(results, peer, connections=64)


def _median_of_rounds(results: Results, peer: str, *, connections: int) -> float:
    seconds: dict[tuple[int, str], float] = {
        (row["round"], row["contender"]): sum(1 / row[action]["requests_per_second"] for action in _ACTIONS)
        for row in results["rounds"]
        if row["connections"] == connections
    }
    rounds = {number for number, _ in seconds}
    if not rounds:
        raise LookupError(f"no measurement with {connections} connections")
    return statistics.median(seconds[number, peer] / seconds[number, "chirp on Redis"] for number in rounds)


def _grown(results: Results) -> float:
    name = "resident_bytes after 1,000,000 / 10,000 requests"
    found = [one["median"] for one in results["requests"]["ratios"] if one["name"] == name]
    if not found or found[0] is None:
        raise LookupError(f"no {name}")
    return float(found[0])


_ACTIONS = ("read", "change")
_COOKIE = "chirp on Redis / signed cookie"

TARGETS = (
    Target("read, CPU added / signed cookie", "asgi", 0.85, 0.6, _ratio("app", _COOKIE, "read")),
    Target("read, instructions added / signed cookie", "instructions", 0.6, 0.45, _instructions("read")),
    Target("change, CPU added / signed cookie", "asgi", 1.1, 0.85, _ratio("app", _COOKIE, "change")),
    Target("change, instructions added / signed cookie", "instructions", 0.8, 0.6, _instructions("change")),
    Target("read at 20 tasks, CPU added / signed cookie", "asgi", 1.1, 0.9, _ratio("app", _COOKIE, "read", 20)),
    Target(
        "read, CPU added / starsessions", "asgi", 1 / 10, 1 / 20, _ratio("app", "chirp on Redis / starsessions", "read")
    ),
    Target("read, CPU added / Litestar", "asgi", 1 / 10, 1 / 20, _ratio("app", "chirp on Redis / Litestar", "read")),
    Target(
        "loads per second / one pooled GET per load",
        "micro",
        8,
        15,
        _ratio("store", "throughput / pooled client", "read"),
        at_least=True,
    ),
    Target(
        "loads and saves per second / client per operation",
        "micro",
        100,
        150,
        _ratio("store", "throughput / client per operation", "change"),
        at_least=True,
    ),
    Target("latency at 1 task / bare get", "micro", 1.1, 0.7, _ratio("store", "latency / bare GET", "read", tasks=1)),
    Target("connections at 1,000 requests at once", "scale", 8, 4, _most_connections),
    Target("p99 / p50 at 1,000 requests at once", "scale", 3, 2, _worst_tail),
    Target("HTTP, requests/s / signed cookie", "http", 1.0, 1.15, _http("signed cookie"), at_least=True),
    Target("HTTP, requests/s / starsessions", "http", 3, 5, _http("starsessions"), at_least=True),
    Target("memory after 1,000,000 / 10,000 requests", "memory", 1.05, 1.01, _grown),
)


def measured(folder: Path) -> Iterator[tuple[Target, float | None]]:
    """Give each target and its figure; None where the folder has no such file, or the file no such figure."""
    for target in TARGETS:
        path = folder / f"{target.file}.json"
        if not path.exists():
            yield target, None
            continue
        try:
            figure = target.figure(json.loads(path.read_text(encoding="utf-8")))
        except LookupError:
            yield target, None
        else:
            yield target, figure


def show_targets(folder: Path) -> None:
    """Print a table of all targets."""
    table = screen.table("target", "measured", "must", "", "aim", "")
    for target, figure in measured(folder):
        row = [target.name, "-" if figure is None else f"{figure:,.3g}"]
        for limit in (target.must, target.aim):
            holds = "?" if figure is None else "yes" if target.reached(figure, limit) else "no"
            row += [target.written(limit), holds]
        table.add_row(*row)
    screen.console.print(table)
