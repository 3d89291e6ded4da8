"""Runs a contender under callgrind, and reads what was counted."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.instructions.child import CONTENDERS, MARK
from chirp.embedded import EmbeddedServer

INSTALL_VALGRIND = "valgrind is not on PATH, and counts the instructions (Debian, Ubuntu: apt-get install valgrind)"
AT_ONCE = 2  # processes; they are counted and not timed, so they may disturb each other
LAST_LINES = 15  # of a process that failed


class CountingError(Exception):
    """Nothing was counted; the message says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is counted.

    Attributes:
        tasks: at once.
        times: each task takes an action in one block.
        blocks: of each action, one after the other in one process.
        runs: processes of each contender.
    """

    tasks: int = 100
    times: int = 10
    blocks: int = 3
    runs: int = 3


FAST = Settings(times=5, blocks=1, runs=1)


@dataclass(frozen=True, slots=True)
class Block:
    """What was counted in one block.

    Attributes:
        contender: its name.
        run: which of the contender's processes, from 0.
        number: which of the action's blocks in that process, from 0.
        action: "read" or "change".
        instructions: per request.
        commands: how often the server carried out each in the block, those inside scripts included.
    """

    contender: str
    run: int
    number: int
    action: str
    instructions: float
    commands: dict[str, int]


def valgrind_version() -> str:
    """Return what valgrind calls itself, such as `valgrind-3.19.0`.

    Raises:
        CountingError: it is not installed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountingError(INSTALL_VALGRIND)
    asked = subprocess.run([valgrind, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return asked.stdout.strip()


async def count(settings: Settings, keep: Path | None, advance: Callable[[], None]) -> list[Block]:
    """Count all contenders.

    Args:
        settings: how much.
        keep: a folder for callgrind's files of each contender's first run; None to throw them away.
        advance: is called after each process; there are `settings.runs` for each contender.

    Raises:
        CountingError: a process failed.
        ChirpError: the embedded server cannot be started.
    """
    free = asyncio.Semaphore(AT_ONCE)
    blocks: list[Block] = []

    async def run(contender: str, number: int) -> None:
        async with free:
            with tempfile.TemporaryDirectory() as folder, EmbeddedServer() as server:
                stated = await _run_child([contender, server.url], settings, Path(folder))
                blocks.extend(_blocks(contender, number, settings, stated, Path(folder)))
                if keep is not None and number == 0:
                    _keep(Path(folder), keep / contender.replace(" ", "-"), stated)
        advance()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(settings.runs):
                for contender in CONTENDERS:
                    group.create_task(run(contender, number))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return blocks


async def _run_child(arguments: list[str], settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """Run the program of `child`, and return what it says of each block."""
    # fmt: off
    command = [
        "valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder / 'out'}", f"--dump-before={MARK}",
        sys.executable, "-m", "benchmarks.instructions.child",
        *arguments, str(settings.tasks), str(settings.times), str(settings.blocks),
    ]
    # fmt: on
    # Python's own variables can switch on what costs instructions; a hash seed of its own would make every run another.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    child = await asyncio.create_subprocess_exec(
        *command, env=environ | {"PYTHONHASHSEED": "0"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        words = "\n".join(errors.decode("utf-8", "replace").splitlines()[-LAST_LINES:])
        raise CountingError(f"{arguments[0]} ended with status {child.returncode} under valgrind:\n{words}")
    blocks: list[dict[str, Any]] = json.loads(said)
    return blocks


def _dumps(folder: Path, blocks: int) -> list[Path]:
    """Return callgrind's file of each block: one ends at each mark, and every other one was between blocks.

    Raises:
        CountingError: there are not two for each block, so something else calls the function that marks them.
    """
    written = len(list(folder.glob("out.*")))
    if written != 2 * blocks:
        raise CountingError(f"callgrind wrote {written} files at calls of {MARK}, and {2 * blocks} are right")
    return [folder / f"out.{2 * number + 2}" for number in range(blocks)]


def _blocks(
    contender: str, run: int, settings: Settings, stated: list[dict[str, Any]], folder: Path
) -> Iterator[Block]:
    before: Counter[str] = Counter()
    for block, dump in zip(stated, _dumps(folder, len(stated)), strict=True):
        action = block["action"]
        instructions = total(dump.read_text("utf-8")) / (settings.tasks * settings.times)
        yield Block(contender, run, before[action], action, instructions, block["commands"])
        before[action] += 1


def total(dump: str) -> int:
    """Return how many instructions one of callgrind's files has counted.

    Raises:
        CountingError: it does not say.
    """
    found = re.search(r"^totals: (\d+)$", dump, re.MULTILINE)
    if found is None:
        raise CountingError("a file of callgrind's has no line `totals:`, so this valgrind is not known here")
    return int(found[1])


def _keep(folder: Path, target: Path, stated: list[dict[str, Any]]) -> None:
    """Leave the file of each action's last block, for callgrind_annotate."""
    target.mkdir(parents=True, exist_ok=True)
    for block, dump in zip(stated, _dumps(folder, len(stated)), strict=True):
        shutil.copyfile(dump, target / f"{block['action']}.callgrind")
