"""docs/how-to/testing.md is executed: each of its programs shows what the text around it says."""

import ast
from typing import Any

import pytest
from programs import Document

PAGE = Document("docs/how-to/testing.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_conformance_program() -> None:
    """Its class is a suite, and the store passes it."""
    suite: Any = PAGE.run("conformance")["TestMyStore"]()
    tests = [name for name in dir(suite) if name.startswith("test_")]
    assert len(tests) > 10
    for name in tests:
        getattr(suite, name)()


def test_the_overlap_program(capsys: pytest.CaptureFixture[str]) -> None:
    """The late request does not bring the session back."""
    PAGE.run("overlap")
    assert capsys.readouterr().out == "{}\n"


def test_the_gate_program(capsys: pytest.CaptureFixture[str]) -> None:
    """What the stopped request stored is merged."""
    PAGE.run("gate")
    assert capsys.readouterr().out == "['first', 'late', 'second', 'third']\n"


def test_the_explore_program(capsys: pytest.CaptureFixture[str]) -> None:
    """It finds the orders that lose an increment, as many as the comment says."""
    PAGE.run("explore")
    runs, _, violations = capsys.readouterr().out.partition(" ")
    assert runs == "6"
    assert {name: len(orders) for name, orders in ast.literal_eval(violations).items()} == {"an increment was lost": 4}
