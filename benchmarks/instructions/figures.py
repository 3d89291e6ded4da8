"""From counts to the file: medians, what sessions add, and how that compares; computed and nothing else."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.contenders.asgi_bare import AsgiBare
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.asgi_signed_cookie import AsgiSignedCookie
from benchmarks.instructions.child import CONTENDERS
from benchmarks.instructions.counting import Block, Settings
from benchmarks.sessions import ACTIONS, PAYLOAD_BYTES

RATIO = (
    "instructions per request that chirp on Redis adds to the app without sessions, divided by what Starlette's "
    "signed cookie adds; less is better"
)


def results_of(blocks: Sequence[Block], settings: Settings, versions: Mapping[str, str | None]) -> dict[str, Any]:
    """Return what the file is to hold."""
    return {
        "versions": dict(versions),
        "settings": {**asdict(settings), "payload_bytes": PAYLOAD_BYTES, "actions": ACTIONS},
        "contenders": {name: kind.description for name, kind in CONTENDERS.items()},
        "ratio": RATIO,
        "counts": {action: _action([block for block in blocks if block.action == action]) for action in ACTIONS},
    }


def _action(blocks: Sequence[Block]) -> dict[str, Any]:
    by_contender = {name: [block for block in blocks if block.contender == name] for name in CONTENDERS}
    bare = statistics.median(block.instructions for block in by_contender[AsgiBare.name])
    return {
        "contenders": {name: _contender(counted, bare) for name, counted in by_contender.items()},
        "ratio": _range(_ratios(blocks), 4),
    }


def _contender(blocks: Sequence[Block], bare: float) -> dict[str, Any]:
    instructions = _range((block.instructions for block in blocks), 0)
    return {
        "instructions": instructions,
        "spread_percent": round(100 * (instructions["most"] - instructions["least"]) / instructions["median"], 2),
        "added": round(instructions["median"] - bare),
        "commands_per_block": _commands(blocks),
    }


def _commands(blocks: Sequence[Block]) -> dict[str, Any]:
    """Return how often each command was carried out: the same number in all blocks if the batches were the same."""
    names = sorted(set().union(*(block.commands for block in blocks)))
    return {name: _range((block.commands.get(name, 0) for block in blocks), 0) for name in names}


def _ratios(blocks: Iterable[Block]) -> list[float]:
    """Return a ratio for each block of each run."""
    counted: dict[tuple[int, int], dict[str, float]] = {}
    for block in blocks:
        counted.setdefault((block.run, block.number), {})[block.contender] = block.instructions
    return [ratio(each) for each in counted.values()]


def ratio(instructions: Mapping[str, float]) -> float:
    """Divide what sessions on Redis add to the app by what the signed cookie adds; both count more than the app."""
    bare = instructions[AsgiBare.name]
    return (instructions[AsgiChirp.name] - bare) / (instructions[AsgiSignedCookie.name] - bare)


def _range(values: Iterable[float], digits: int) -> dict[str, float]:
    ordered = [round(value, digits) if digits else round(value) for value in values]
    return {
        "median": round(statistics.median(ordered), digits) if digits else round(statistics.median(ordered)),
        "least": min(ordered),
        "most": max(ordered),
    }
