"""The wheel works in an environment that has only what it asks for, alone and with each of its extras."""

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

NOBODY = "redis://127.0.0.1:1"  # a command that says so has imported all that it needs
STORE = "import chirp; chirp.RedisSessionStore(chirp.SessionConfig(secret_key='s' * 32), 'redis://localhost')"
SERVER = "from chirp.embedded import EmbeddedServer\nwith EmbeddedServer() as server: print(server.url)"
METRICS = "from chirp.middleware.sessions.metering import Instruments; Instruments()"


def install(wheel: Path, root: Path, extras: str = "") -> Path:
    """Return where the commands are of a new environment that has the wheel with these extras."""
    venv.create(root, with_pip=False)
    programs = root / ("Scripts" if os.name == "nt" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    subprocess.run([*pip, "install", "-q", "--no-compile", f"{wheel}[{extras}]" if extras else wheel], check=True)
    return programs


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(command[0]).parent)


@pytest.fixture(scope="module")
def folder(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(built.wheel, tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("module", ["chirp", "chirp.middleware.sessions", "chirp.testing"])
def test_it_imports_without_extras(folder: Path, module: str) -> None:
    """Nothing optional is imported before it is used."""
    done = run(folder / "python", "-c", f"import {module}")
    assert done.returncode == 0, done.stderr


def test_without_redis_the_store_says_what_to_install(folder: Path) -> None:
    """The last line of the error is a line to type."""
    done = run(folder / "python", "-c", "import chirp; chirp.RedisSessionStore('redis://localhost')")
    assert "ConfigurationError: RedisSessionStore needs the package redis" in done.stderr
    assert "pip install 'chirp-sessions[redis]'" in done.stderr


def test_without_cli_the_command_says_what_to_install(folder: Path) -> None:
    """It is there, and names the extra."""
    done = run(folder / "chirp", "secret")
    assert done.returncode == 1
    assert "pip install 'chirp-sessions[" in done.stderr


@pytest.mark.parametrize(
    ("extras", "program"),
    [("redis", STORE), ("embedded", SERVER), ("telemetry", METRICS)],
    ids=["redis", "embedded", "telemetry"],
)
def test_an_extra_brings_what_its_module_needs(built: Any, tmp_path: Path, extras: str, program: str) -> None:
    """With the other extras absent."""
    done = run(install(built.wheel, tmp_path, extras) / "python", "-c", program)
    assert done.returncode == 0, done.stderr


def test_cli_alone_makes_a_secret(built: Any, tmp_path: Path) -> None:
    """No Redis client is needed for it."""
    done = run(install(built.wheel, tmp_path, "cli") / "chirp", "secret")
    assert len(done.stdout.strip()) >= 32, done.stderr


@pytest.mark.parametrize(("extras", "command"), [("cli,redis", "check"), ("demo", "demo")])
def test_a_command_has_all_it_needs_with_its_extras(built: Any, tmp_path: Path, extras: str, command: str) -> None:
    """Up to the server that does not answer."""
    programs = install(built.wheel, tmp_path, extras)
    assert run(programs / "chirp", command, "--help").returncode == 0
    assert (
        f"chirp {command}: Redis at 127.0.0.1:1 does not answer"
        in run(programs / "chirp", command, "--redis", NOBODY).stderr
    )
