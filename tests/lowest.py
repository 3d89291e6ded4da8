"""Write the lowest versions that pyproject.toml allows, as constraints of pip: `python tests/lowest.py FILE`."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
NEEDS = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<version>[\w.]+)")


def constraints(project: dict[str, Any]) -> list[str]:
    """One line for each dependency, those of the extras included, such as `redis==6.0`.

    Raises:
        ValueError: a dependency states no lowest version, or more than that.
    """
    extras = project["optional-dependencies"].values()
    lines = []
    for each in [*project["dependencies"], *(each for extra in extras for each in extra)]:
        if each.startswith(project["name"]):
            continue
        found = NEEDS.fullmatch(each)
        if found is None:
            raise ValueError(f"dependency {each!r}: must be a name and its lowest version, such as redis>=6.0")
        lines.append(f"{found['name']}=={found['version']}")
    return lines


if __name__ == "__main__":
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    Path(sys.argv[1]).write_text("\n".join(constraints(project)) + "\n", encoding="utf-8")
