"""docs/explanation/time.md is executed: what is refused is refused, by its path."""

import pytest
from programs import Document

from chirp import SessionConfig

PAGE = Document("docs/explanation/time.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_refused_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Text and numbers come back; the others are refused with the path to them."""
    PAGE.run("refused")
    path = 'session["cart"][0]'
    assert capsys.readouterr().out.splitlines() == [
        "str text",
        "float 1.5",
        f"datetime {path}",
        f"tuple {path}",
        f"dict {path}",
        f"float {path}",
    ]


def test_the_limits_that_the_page_names_are_the_defaults() -> None:
    """And the touch interval is what it says."""
    config = SessionConfig("of the tests alone, and long enough")
    assert f"`max_age` ({config.max_age})" in PAGE.text
    assert f"`max_bytes` ({config.max_bytes})" in PAGE.text
    assert "5 % of the\nwindow, and 300 seconds at most" in PAGE.text
    assert SessionConfig(config.secret_key, max_age=1000).lifetime.touch_interval == 50
    assert config.lifetime.touch_interval == 300
