"""Tables and numbers, as pages show them."""

from collections.abc import Iterable, Sequence

from benchmarks.screen import number


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = 1) -> str:
    """Return a table whose first `text` columns hold words; the others hold numbers."""
    lines = [head, ["---" if index < text else "---:" for index in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rounded(value: float | None) -> str:
    """Write three significant digits; `-` for None."""
    return number(None if value is None else float(f"{value:.3g}"))


def strong(text: str, *, when: bool) -> str:
    return f"**{text}**" if when else text


def gigabytes(size: float) -> str:
    return f"{rounded(size / 1e9)} GB"
