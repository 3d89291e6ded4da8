"""A process of this one's: started, told what to do, listened to, ended."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.contenders.contender import WrongSessionError
from chirp.errors import ChirpError

END_SECONDS = 5.0
FAILED_SECONDS = 0.2  # that a process has to end by itself after something has gone wrong
LAST_WORDS_BYTES = 2000


class Child:
    """A process that is told one thing, and answers in lines of JSON.

    Args:
        name: what it does or for whom, for errors.
        process: with pipes.
        log: what it writes to stderr.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._name = name
        self._process = process
        self._log = log

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def next_line(self, seconds: float) -> dict[str, Any]:
        """Return its next line.

        Raises:
            WrongSessionError: it says that something is wrong.
            ChirpError: none came in that time, or it has ended; the message ends with its last words.
        """
        assert self._process.stdout
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ChirpError(f"{self._name}: no answer within {seconds:g} s; {self._last_words()}") from None
        if not line:
            raise ChirpError(f"{self._name}: the process has ended; {self._last_words()}")
        facts: dict[str, Any] = json.loads(line)
        if "wrong" in facts:
            raise WrongSessionError(f"{self._name}: {facts['wrong']}")
        return facts

    def close_stdin(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    async def ended(self, seconds: float) -> bool:
        """Wait for its end, which its closed stdin or its last work brings about; tell whether it came in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LAST_WORDS_BYTES))
        return self._log.read().decode("utf-8", "replace").strip() or "it has written nothing"


@contextlib.asynccontextmanager
async def child(name: str, module: str, job: Mapping[str, Any]) -> AsyncIterator[Child]:
    """Start a module of this package as a process, and end it with the block."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # It imports what this process would, wherever that was started.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            start_new_session=True,  # Ctrl-C is for the command, which then ends its processes
        )
        one = Child(name, process, log)
        try:
            assert process.stdin
            process.stdin.write(json.dumps(job).encode("ascii") + b"\n")
            yield one
            one.close_stdin()
            await one.ended(END_SECONDS)
        finally:
            one.close_stdin()
            if not await one.ended(FAILED_SECONDS):
                process.kill()
                await process.wait()
