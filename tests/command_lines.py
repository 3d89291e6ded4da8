"""Command lines that a page shows, read by the programs that they call, without running anything.

A line that its program would not take raises; so does a program that nobody has said anything about here.
"""

import configparser
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypercorn.__main__
import pytest
import typer
import uvicorn
from granian.cli import cli as granian
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from programs import ROOT

import benchmarks.command
from chirp.commands import commands
from chirp.redis_url import settings_of

PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
OPERATORS = ("&&", "|", ";")
EXAMPLE = re.compile(r"[\w.]+:\w+(\(\))?").fullmatch


def words_of(block: str) -> Iterator[list[str]]:
    """Yield the words of each command in a block of a shell, prompts and comments left out."""
    for line in block.replace("\\\n", " ").splitlines():
        command: list[str] = []
        for word in [*shlex.split(line.removeprefix("$ "), comments=True), ";"]:
            if word not in OPERATORS:
                command.append(word)
            elif command:
                yield command
                command = []


def check(words: Sequence[str], page: str) -> None:
    """Expect a command to be one that its program takes.

    Args:
        words: of the command.
        page: the text around it, which says under which name an example is saved.
    """
    program = words[0].removeprefix(".venv/bin/")
    assert program in CHECKS, f"{program}: nobody knows here what it takes"
    CHECKS[program](list(words[1:]), page)


def _click(command: Any, name: str, arguments: list[str]) -> None:
    """Have a command read its options; a group hands over to the command that is named."""
    context = command.make_context(name, list(arguments))
    if hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        found, inner, arguments = command.resolve_command(context, rest)
        with context:
            _click(inner, found, arguments)


def _chirp(arguments: list[str], page: str) -> None:
    _click(typer.main.get_command(commands), "chirp", arguments)


def _pip(arguments: list[str], page: str) -> None:
    assert arguments.pop(0) == "install"
    asked = [each for each in arguments if each not in ("-q", "-e")]
    if "--group" in asked:
        place = asked.index("--group")
        assert asked[place + 1] in GROUPS
        del asked[place : place + 2]
    for each in asked:
        requirement = Requirement(re.sub(r"^\.(?=\[)", "chirp-sessions", each))
        if requirement.name == PROJECT["project"]["name"]:
            assert requirement.extras <= set(EXTRAS), each
        else:
            assert canonicalize_name(requirement.name) in _known(), f"{each}: is not what the tests use"


def _known() -> set[str]:
    """Return the names of all that the project's extras and groups bring, and of tox, which brings those."""
    listed = [*PROJECT["project"]["dependencies"]]
    for several in (*EXTRAS.values(), *GROUPS.values()):
        listed += [each for each in several if isinstance(each, str)]
    return {canonicalize_name(Requirement(each).name) for each in listed} | {"tox"}


def _python(arguments: list[str], page: str) -> None:
    assert arguments.pop(0) == "-m"
    module = arguments.pop(0)
    assert importlib.util.find_spec(module) is not None
    if module == "benchmarks":
        _click(typer.main.get_command(benchmarks.command.commands), "benchmarks", arguments)


def _export(arguments: list[str], page: str) -> None:
    (assignment,) = arguments
    name, _, value = assignment.partition("=")
    assert name == "CHIRP_REDIS_URL", f"{name}: no program of this package reads it"
    settings_of(value)


def _tox(arguments: list[str], page: str) -> None:
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    match arguments:
        case ["run", "-m", label]:
            assert f"{label} = " in tox["tox"]["labels"]
        case ["run", "-e", environment, *_]:
            assert f"testenv:{environment}" in tox
        case _:
            raise AssertionError(f"tox {' '.join(arguments)}: not looked at here")


def _served(target: str, page: str) -> None:
    """Expect an app that can be imported, or the name under which the page has its program saved."""
    assert EXAMPLE(target), target
    module = target.partition(":")[0]
    if "." in module:
        assert importlib.util.find_spec(module) is not None
    else:
        assert f"`{module}.py`" in page, f"{target}: the page does not say what to save as {module}.py"


def _uvicorn(arguments: list[str], page: str) -> None:
    _served(uvicorn.main.make_context("uvicorn", arguments).params["app"], page)


def _granian(arguments: list[str], page: str) -> None:
    _served(granian.make_context("granian", arguments).params["app"], page)


def _hypercorn(arguments: list[str], page: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        configs: list[Any] = []
        patch.setattr(hypercorn.__main__, "run", lambda config: configs.append(config) or 0)
        hypercorn.__main__.main(arguments)
    _served(configs[0].application_path, page)


def _pytest(arguments: list[str], page: str) -> None:
    assert arguments == []


CHECKS: dict[str, Callable[[list[str], str], None]] = {
    "chirp": _chirp,
    "export": _export,
    "granian": _granian,
    "hypercorn": _hypercorn,
    "pip": _pip,
    "pytest": _pytest,
    "python": _python,
    "python3": _python,
    "tox": _tox,
    "uvicorn": _uvicorn,
}
