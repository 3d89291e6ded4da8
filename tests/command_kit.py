"""`chirp sessions` as its users meet it: in this process, or as a process of its own with a terminal."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from typer.testing import CliRunner

from chirp.commands import commands

SECONDS = 30.0  # for whatever is waited for; a busy machine is no defect


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def run(*arguments: str, **environment: str) -> Said:
    """Run `chirp sessions` in this process, where nobody can be asked."""
    done = CliRunner().invoke(
        commands, ("sessions", *arguments), env={"CHIRP_REDIS_URL": None, "COLUMNS": "200", **environment}
    )
    return Said(done.exit_code, done.stdout, done.stderr)


class Terminal:
    """A process that somebody sits in front of.

    Args:
        process: whose input and errors are the terminal.
        end: our end of the terminal.
    """

    def __init__(self, process: subprocess.Popen[str], end: int) -> None:
        self.process = process
        self._end = end
        self.shown = ""

    def wait_for(self, pattern: str) -> None:
        """Wait until that is on the terminal."""
        deadline = time.monotonic() + SECONDS
        while not re.search(pattern, self.shown):
            assert self._read(deadline - time.monotonic()), f"{pattern} is not shown: {self.shown}"

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def ended(self) -> Said:
        """Wait for the end of the process."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline - time.monotonic()):
            pass
        out = self.process.communicate(timeout=SECONDS)[0] or ""
        return Said(self.process.returncode, out, self.shown)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._end], [], [], max(seconds, 0))
        try:
            data = os.read(self._end, 65536) if ready else b""
        except OSError:  # Linux: the other end is closed
            data = b""
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def on_terminal(*arguments: str, rows: bool = False) -> Iterator[Terminal]:
    """Run `chirp sessions` with a terminal for input and errors; its output is a pipe, or with `rows` the terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    command = [sys.executable, "-m", "chirp.cli", "sessions", *arguments]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stderr=theirs,
        stdout=theirs if rows else subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
            os.close(ours)
