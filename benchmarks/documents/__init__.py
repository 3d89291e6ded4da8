"""Figures in `docs/`, filled in from the files of the last full runs, so that no page can differ from its file.

A page says where each of them goes, with a line before and a line after; what stands between is made anew:

    <!-- figures: targets -->
    <!-- end -->

Everything else is prose, in which no measured number stands.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.documents import performance, reliability, scaling

FILES = ("micro", "micro-oldest", "asgi", "http", "scale", "memory", "soak", "instructions")
DOCUMENTS: Mapping[str, Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "docs/explanation/performance.md": performance.PARTS,
    "docs/explanation/reliability.md": reliability.PARTS,
    "docs/explanation/scaling.md": scaling.PARTS,
}
REMEDY = "run python -m benchmarks documents"
BEGINS = re.compile(r"<!-- figures: (\S+) -->")
END = "<!-- end -->"


class DocumentError(Exception):
    """A page cannot be filled; the message says why."""


def read(folder: Path) -> dict[str, Any]:
    """Return what each file holds, by its name.

    Raises:
        DocumentError: one is missing.
    """
    if missing := [f"{name}.json" for name in FILES if not (folder / f"{name}.json").exists()]:
        raise DocumentError(f"{folder.name} has no {', '.join(missing)}: the benchmarks write them, and all are needed")
    return {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in FILES}


def filled(text: str, parts: Mapping[str, Callable[[Mapping[str, Any]], str]], results: Mapping[str, Any]) -> str:
    """Return the page with everything between its marks made anew.

    Args:
        text: the page.
        parts: makes what goes between a pair of marks, by the name in the first of them.
        results: what each file holds.

    Raises:
        DocumentError: its marks are not one pair for each of the parts, or the files lack a figure.
    """
    lines: list[str] = []
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        mark = BEGINS.fullmatch(line)
        if inside and mark is not None:
            raise DocumentError(f"<!-- figures: {found[-1]} --> has no {END}")
        if not inside:
            lines.append(line)
        if mark is not None:
            found.append(mark[1])
            inside = True
            lines.append(_made(mark[1], parts, results))
        elif line == END and inside:
            inside = False
            lines.append(line)
    if inside:
        raise DocumentError(f"<!-- figures: {found[-1]} --> has no {END}")
    if sorted(found) != sorted(parts):
        raise DocumentError(f"figures of {sorted(found)}: must be each of {sorted(parts)} once")
    return "\n".join(lines) + "\n"


def _made(name: str, parts: Mapping[str, Callable[[Mapping[str, Any]], str]], results: Mapping[str, Any]) -> str:
    if name not in parts:
        raise DocumentError(f"<!-- figures: {name} -->: must be one of {sorted(parts)}")
    try:
        return parts[name](results)
    except LookupError as error:
        raise DocumentError(f"<!-- figures: {name} -->: the files of the last full runs lack it ({error})") from error


def fill_documents(root: Path, folder: Path) -> list[Path]:
    """Fill every page under `root` from the files in `folder`, and return their paths.

    Raises:
        DocumentError: a page cannot be filled; none is written then.
    """
    results = read(folder)
    pages = {root / name: parts for name, parts in DOCUMENTS.items()}
    texts = {page: filled(page.read_text(encoding="utf-8"), parts, results) for page, parts in pages.items()}
    for page, text in texts.items():
        page.write_text(text, encoding="utf-8")
    return list(texts)
