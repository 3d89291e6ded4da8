"""Medians, ratios and warnings, computed from the rows of all rounds and nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.http.settings import ACTIONS
from benchmarks.results import short, summary

OURS = "chirp on Redis"
FIGURES = (
    "requests_per_second",
    "p50_us",
    "p99_us",
    "server_cpu_us",
    "server_cpu_share",
    "generator_cpu_us",
    "generator_cpu_share",
)
COMPARED = {"requests_per_second": "requests per second", "server_cpu_us": "server CPU per request"}
BUSY = 0.8  # of a core: what a server has under full load, and a generator should not have
MANY = 8  # connections, with which there is always another request

Row = dict[str, Any]


def figures_of(contenders: Mapping[str, str], rows: Sequence[Row]) -> dict[str, Any]:
    """Return contenders, every row, medians of the rounds, ratios within the rounds, and warnings.

    Args:
        contenders: descriptions by name, in the order of the results.
        rows: one for each round, contender and number of connections.
    """
    return {
        "contenders": {name: {"description": description} for name, description in contenders.items()},
        "rounds": [_shortened(row) for row in rows],
        "medians": list(_medians(contenders, rows)),
        "ratios": [
            {
                "name": ratio_name(peer, figure),
                "meaning": f"{COMPARED[figure]} of {OURS!r} divided by that of {peer!r}; {better} is better",
                "figure": figure,
                "peer": peer,
                "values": list(_ratios(peer, figure, rows)),
            }
            for figure, better in (("requests_per_second", "more"), ("server_cpu_us", "less"))
            for peer in contenders
            if OURS in contenders and peer != OURS
        ],
        "warnings": list(_warnings(contenders, rows)),
    }


def ratio_name(peer: str, figure: str) -> str:
    return f"{OURS} / {peer}, {COMPARED[figure]}"


def _shortened(row: Row) -> Row:
    actions = {
        action: {
            "requests": row[action]["requests"],
            **{name: None if (value := row[action][name]) is None else short(value) for name in FIGURES},
        }
        for action in ACTIONS
    }
    return {**row, **actions}


def _medians(names: Mapping[str, str], rows: Sequence[Row]) -> Iterator[Row]:
    for action in ACTIONS:
        for connections in sorted({row["connections"] for row in rows}):
            for name in names:
                group = [row[action] for row in rows if (row["connections"], row["contender"]) == (connections, name)]
                known = {figure: [value for one in group if (value := one[figure]) is not None] for figure in FIGURES}
                yield {
                    "action": action,
                    "connections": connections,
                    "contender": name,
                    **{figure: summary(values)["median"] for figure, values in known.items()},
                }


def _ratios(peer: str, figure: str, rows: Sequence[Row]) -> Iterator[Row]:
    for action in ACTIONS:
        for connections in sorted({row["connections"] for row in rows}):
            found = {
                (row["round"], row["contender"]): row[action][figure]
                for row in rows
                if row["connections"] == connections
            }
            pairs = [(found[number, OURS], found[number, peer]) for number in sorted({number for number, _ in found})]
            values = [ours / theirs for ours, theirs in pairs if ours and theirs]
            yield {"action": action, "connections": connections, **summary(values)}


def _warnings(contenders: Iterable[str], rows: Sequence[Row]) -> Iterator[str]:
    """Tell which measurements say more about the load generator, or about the machine, than about the server."""
    for name in contenders:
        turns = [row[action] for row in rows if row["contender"] == name for action in ACTIONS]
        if outrun := [one for one in turns if one["generator_cpu_share"] > (one["server_cpu_share"] or BUSY)]:
            yield (
                f"{name}: in {len(outrun)} of {len(turns)} measurements the load generator was busier than the server"
            )
        loaded = [
            row[action]["server_cpu_share"]
            for row in rows
            if row["contender"] == name and row["connections"] >= MANY
            for action in ACTIONS
        ]
        if idle := [share for share in loaded if share is not None and share < BUSY]:
            yield (
                f"{name}: in {len(idle)} of {len(loaded)} measurements with {MANY} or more connections the server had "
                f"less than {BUSY:.0%} of a core: it waited for Redis, or other processes had the core"
            )
