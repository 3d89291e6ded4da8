"""The wheel works in an environment that has only what it asks for."""

import os
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def folder(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are of an environment with the wheel and no extras."""
    root = tmp_path_factory.mktemp("installed")
    venv.create(root, with_pip=True)
    programs = root / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([programs / "python", "-m", "pip", "install", "-q", built.wheel], check=True)
    return programs


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(command[0]).parent)


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
