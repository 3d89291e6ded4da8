"""Processes that use a store: programs that end by themselves, and servers with their workers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from redis import Redis

TESTS = Path(__file__).parent
SECONDS = 30.0  # for a start, an end or a reload; a busy machine is no defect
STRICT = ("-X", "dev", "-W", "error")


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it had said."""

    code: int
    out: str
    err: str


@dataclass
class Processes:
    """Runs processes whose store names its connections.

    Attributes:
        admin: a client of the same server.
        name: of the connections.
        environment: of the processes.
    """

    admin: Redis
    name: str
    environment: Mapping[str, str]

    def connections(self) -> int:
        """Return how many connections the server has from all of the processes."""
        return sum(each["name"] == self.name for each in self.admin.client_list())

    def run(self, program: str, loop: str, *options: str) -> Ended:
        """Run one of `process_programs` to its end."""
        command = [sys.executable, *options, str(TESTS / "process_programs.py"), program, loop]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        return Ended(done.returncode, done.stdout, _complaints(done.stderr))

    @contextmanager
    def serving(self, command: Sequence[str], **environment: str) -> Iterator["Serving"]:
        """Run a server that accepts from a socket of ours, whose number stands for `{fd}` in the command."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(100)  # clients that come before the server is ready wait there
            number = str(listening.fileno())
            with subprocess.Popen(
                [sys.executable, *STRICT, *(word.format(fd=number) for word in command)],
                env={**self.environment, "LISTENING": number, **environment},
                pass_fds=[listening.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as process:
                try:
                    yield Serving(process, listening.getsockname()[1])
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)


@dataclass
class Serving:
    """A server and its workers.

    Attributes:
        cookies: of the one browser that visits it.
    """

    process: "subprocess.Popen[str]"
    port: int

    def __post_init__(self) -> None:
        self.cookies = httpx2.Cookies()

    def visit(self) -> dict[str, int]:
        """Visit it on a new connection; return what the app says."""
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=SECONDS, cookies=self.cookies) as client:
            response = client.post("/count").raise_for_status()
            self.cookies.update(response.cookies)
            said: dict[str, int] = response.json()
            return said

    def visit_at_once(self, visits: int) -> set[int]:
        """Visit it several times at once; return the processes that have answered."""
        with ThreadPoolExecutor(visits) as browsers:
            return {said["pid"] for said in browsers.map(lambda _: self.visit(), range(visits))}

    def end(self, with_signal: signal.Signals = signal.SIGTERM) -> Ended:
        """End it by a signal to the first process alone."""
        self.process.send_signal(with_signal)
        out, err = self.process.communicate(timeout=SECONDS)
        # uvicorn, when it supervises others, leaves the socket that it was given to the end of the interpreter.
        return Ended(self.process.returncode, out, _complaints(err, f"laddr=('127.0.0.1', {self.port})>"))


def _complaints(err: str, not_ours: str = "\n") -> str:
    """Return what was said, without lines that end with `not_ours` and those of a busy machine."""
    slow = ("Executing ", " seconds")  # how asyncio, which `-X dev` has debug, begins and ends to tell of slow steps
    lines = [line for line in err.splitlines() if not line.endswith(not_ours)]
    return "\n".join(line for line in lines if not (line.startswith(slow[0]) and line.endswith(slow[1])))


@contextmanager
def processes(redis_url: str, key_prefix: str) -> Iterator[Processes]:
    name = key_prefix.rstrip(":").replace(":", "-")
    with Redis.from_url(redis_url, socket_timeout=10) as admin:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
            "PROCESS_SITE_REDIS_URL": f"{redis_url}?client_name={name}",
            "PROCESS_SITE_KEY_PREFIX": key_prefix,
        }
        yield Processes(admin, name, environment)


def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
