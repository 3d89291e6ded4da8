"""Figures looked up in the results of a scenario."""

from typing import Any


def median(scenario: dict[str, Any], contender: str, action: str, figure: str, **case: int) -> float:
    """Return the median of the rounds.

    Args:
        scenario: one of those in the file.
        contender: its name.
        action: `read` or `change`.
        figure: as `cpu_us`.
        case: which one, as `tasks=100`; no more than the file has to tell apart.

    Raises:
        LookupError: the file has no such figure.
    """
    rows = _rows(scenario["medians"], contender=contender, action=action, **case)
    value: float = rows[0][figure]
    return value


def medians(scenario: dict[str, Any], contender: str, action: str, figure: str) -> list[float]:
    """Return the median of the rounds for each case, in their order.

    Raises:
        LookupError: the file has no such figure.
    """
    return [row[figure] for row in _rows(scenario["medians"], contender=contender, action=action)]


def ratio(scenario: dict[str, Any], name: str, action: str, **case: int) -> float:
    """Return the median of the ratio's values in the rounds.

    Raises:
        LookupError: the file has no such ratio, or noise has left nothing to divide by in every round.
    """
    rows = [row for one in scenario["ratios"] if one["name"] == name for row in one["values"]]
    value: float | None = _rows(rows, action=action, **case)[0]["median"]
    if value is None:
        raise LookupError(f"{name}: nothing to divide by")
    return value


def _rows(rows: list[dict[str, Any]], **fields: object) -> list[dict[str, Any]]:
    found = [row for row in rows if all(row[name] == value for name, value in fields.items())]
    if not found:
        raise LookupError(f"no figure has {fields}")
    return found
