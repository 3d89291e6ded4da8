"""No block of README.md and docs escapes: each is executed, or read by the program that it is for.

- Python is a named program, and the tests of its page have a test for it.
- Lines of a shell are read by the programs that they call.
- Settings of Redis are given to a real server.
- Everything else has a name, `<!-- KIND: NAME -->`, that the tests of its page ask for.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import command_lines
import pytest
from programs import ROOT
from redis import Redis
from servers import OwnServer

SHELL = ("sh", "console")
FENCE = re.compile(
    r"(?:^<!-- (?P<kind>[\w.-]+): (?P<name>[\w-]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
INLINE = re.compile(r"(?<!`)`((?:chirp (?:secret|check|demo|sessions \w)|pip install )[^`|]*)`(?!`)")
UNFINISHED = re.compile(r"\.\.\.|…")


class Block(NamedTuple):
    """A fenced block: of which page and line, with which name, for which language."""

    page: str
    line: int
    kind: str | None
    name: str | None
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def texts() -> dict[str, str]:
    """Return each page, by its path."""
    paths = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, *found.group("kind", "name", "language", "text"))
        for found in FENCE.finditer(text)
    ]


TEXTS = texts()
BLOCKS = [block for page, text in TEXTS.items() for block in blocks_of(page, text)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
COMMANDS = [block for block in BLOCKS if block.language in SHELL]
SETTINGS = [block for block in BLOCKS if block.kind == "redis.conf"]
OTHERS = [block for block in BLOCKS if block not in (*PYTHON, *COMMANDS, *SETTINGS)]
TESTS = {path: path.read_text("utf-8") for path in sorted(ROOT.glob("tests/docs/*.py"))}


def reading(page: str) -> str:
    """Return the tests that read a page."""
    return "\n".join(text for text in TESTS.values() if f'"{page}"' in text)


def test_no_fence_is_overlooked() -> None:
    """Each line that begins or ends a block belongs to one that was found, and none hides in a longer fence."""
    for page, text in TEXTS.items():
        assert len(re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)) == 2 * len(blocks_of(page, text)), page
    assert len(PYTHON) > 40
    assert len(COMMANDS) > 10
    assert SETTINGS
    assert OTHERS


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_has_a_test_that_executes_it(block: Block) -> None:
    """By its name, in a file of tests that reads its page."""
    assert block.kind == "program"
    tests = reading(block.page)
    assert f"def test_the_{block.name}_program(" in tests
    assert f'"{block.name}"' in tests


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_are_those_that_programs_take(block: Block) -> None:
    """With their options; what is installed exists, and what is served is what the page has saved."""
    commands = list(command_lines.words_of(block.text))
    assert commands
    for words in commands:
        command_lines.check(words, TEXTS[block.page])


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_commands_in_the_text_are_those_that_programs_take(page: str) -> None:
    """Those of this package, and what is to be installed."""
    for line in INLINE.findall(TEXTS[page]):
        if not UNFINISHED.search(line):
            for words in command_lines.words_of(line):
                command_lines.check(words, TEXTS[page])


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_a_server_takes_the_settings(block: Block, own_server: Callable[..., OwnServer]) -> None:
    """And has each of them afterwards."""
    wanted = dict(line.split(" ", 1) for line in block.text.splitlines())
    server = own_server(*(word for name, value in wanted.items() for word in (f"--{name}", value)))
    with Redis.from_url(server.url, decode_responses=True) as client:
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


@pytest.mark.parametrize("block", OTHERS, ids=str)
def test_what_is_shown_is_asked_for_by_its_name(block: Block) -> None:
    """In the tests of its page."""
    assert block.kind is not None, f"a block without a name: {block.text[:60]}"
    tests = reading(block.page)
    assert f"<!-- {block.kind}: " in tests
    assert re.search(rf"{block.kind}: {block.name}\b|\"{block.name}\"", tests)


@pytest.mark.parametrize(
    "line",
    [
        "chirp chekc",
        "chirp check --strikt",
        "chirp sessions revoke",
        "pip install 'chirp-sessions[reddis]'",
        "pip install no-such-package",
        "python -m benchmarks nothing",
        "export REDIS=redis://localhost",
        "uvicorn main:app",
        "uvicorn shop:app --no-such-option",
        "granian chirp.demo.no_such_module:app",
        "hypercorn main:app",
        "tox run -e nothing",
        "rm -rf .",
    ],
)
def test_a_wrong_command_is_found(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So that the tests above can fail."""
    with pytest.raises(BaseException):  # noqa: B017, PT011 - each program has errors of its own, SystemExit among them
        command_lines.check(next(command_lines.words_of(line)), "Save it as `shop.py`.")
