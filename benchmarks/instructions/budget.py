"""The budget: how many instructions sessions on Redis may add, compared with what was counted."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.asgi_signed_cookie import AsgiSignedCookie
from benchmarks.sessions import ACTIONS

COMMITTED = Path(__file__).parent.parent / "budget.toml"
REMEDY = (
    "See what costs more: python -m benchmarks.instructions --fast --keep FOLDER, before the change and after it, and "
    "callgrind_annotate FOLDER/chirp-on-Redis/{action}.callgrind. If the cost is worth what it buys, raise "
    "instructions.{action} in benchmarks/budget.toml and say there what it buys."
)


class BudgetError(Exception):
    """The file is no budget; the message says why."""


def read(path: Path) -> dict[str, float]:
    """Return the largest ratio allowed for each action.

    Raises:
        BudgetError: it does not have one positive number for each action, and no more.
    """
    try:
        limits = tomllib.loads(path.read_text("utf-8"))["instructions"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise BudgetError(f"{path.name}: cannot be read, or has no table [instructions] ({error!r})") from error
    if set(limits) != set(ACTIONS):
        raise BudgetError(f"{path.name}: [instructions] has {sorted(limits)}: must have {sorted(ACTIONS)}")
    for action, limit in limits.items():
        if not isinstance(limit, int | float) or not limit > 0:
            raise BudgetError(f"{path.name}: instructions.{action} = {limit!r}: must be a ratio above 0")
    return dict(limits)


def exceeded(counts: Mapping[str, Any], limits: Mapping[str, float]) -> list[str]:
    """Return a message for each action that costs more than it may; none when the budget is kept.

    Args:
        counts: what the results hold under that name.
        limits: the largest ratio allowed for each action.
    """
    messages = []
    for action, limit in limits.items():
        ratio = counts[action]["ratio"]["median"]
        if ratio <= limit:
            continue
        added = {name: counted["added"] for name, counted in counts[action]["contenders"].items()}
        messages.append(
            f"{action}: {AsgiChirp.name} adds {added[AsgiChirp.name]:,} instructions to a request, {ratio:.3f} times "
            f"the {added[AsgiSignedCookie.name]:,} that a {AsgiSignedCookie.name} adds; the budget is {limit:.3f}. "
            + REMEDY.format(action=action)
        )
    return messages
