"""docs/how-to/test-your-app.md is executed: each of its programs is a file of tests, and pytest passes them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import Document

PAGE = Document("docs/how-to/test-your-app.md")
PLUGIN = ("-p", "anyio.pytest_plugin")  # and none of the others that are installed here


@pytest.fixture
def passed(tmp_path: Path) -> Callable[[str], int]:
    """Run a program as a file of tests, and return how many have passed."""

    def run(name: str) -> int:
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        path = tmp_path / f"test_{name}.py"
        path.write_text(PAGE.programs[name])
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-q", *PLUGIN, path.name]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        found = re.search(r"^(\d+) passed in", done.stdout, re.MULTILINE)
        assert found is not None, done.stdout + done.stderr
        assert done.returncode == 0
        return int(found[1])

    return run


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_test_client_program(passed: Callable[[str], int]) -> None:
    """A user is put into a session, and the cart is read back."""
    assert passed("test_client") == 2


def test_the_async_client_program(passed: Callable[[str], int]) -> None:
    """The same with an async client."""
    assert passed("async_client") == 1


def test_the_signed_in_program(passed: Callable[[str], int]) -> None:
    """The login is recent, until time has passed."""
    assert passed("signed_in") == 1


def test_the_expiry_program(passed: Callable[[str], int]) -> None:
    """The session lives for half an hour after its last request."""
    assert passed("expiry") == 1


def test_the_outage_program(passed: Callable[[str], int]) -> None:
    """It is answered with 503, and the session is there afterwards."""
    assert passed("outage") == 1
