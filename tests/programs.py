"""The programs of a document, to be executed as written."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]


class Document:
    """A Markdown file in which a line `<!-- program: NAME -->` precedes every block of Python.

    Attributes:
        path: from the project's folder.
        text: of the file.
        programs: by name.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.text = (ROOT / path).read_text("utf-8")
        self.programs: dict[str, str] = dict(
            re.findall(r"<!-- program: (\w+) -->\n```python\n(.*?)```", self.text, re.DOTALL)
        )

    def run(self, name: str) -> dict[str, Any]:
        """Execute one program as a module of its own, and return its names."""
        module = ModuleType(f"document_{Path(self.path).stem}_{name}")
        sys.modules[module.__name__] = module  # where Litestar looks up annotations, and Django its URLs
        program = compile(self.programs[name], f"{self.path}:{name}", "exec", dont_inherit=True)
        exec(program, module.__dict__)  # noqa: S102 - that is the test
        return module.__dict__

    def expect_all_tested(self, names: Iterable[str]) -> None:
        """Expect every block of Python to be a program, and each to have its `test_the_NAME_program` among `names`."""
        assert len(re.findall(r"```python\n", self.text)) == len(self.programs)
        tested = [
            name.removeprefix("test_the_").removesuffix("_program") for name in names if name.endswith("_program")
        ]
        assert set(tested) == set(self.programs)
