"""A browser of the soak, and what is found wrong with its answers."""

import pytest

from benchmarks.soak.expected import Expected, Findings, Losses


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def findings() -> Findings:
    return Findings()


@pytest.fixture
def one(losses: Losses, findings: Findings) -> Expected:
    """A browser that has logged in at second 1, and whose cart was shown to be 2 at second 2."""
    expected = Expected("one", ("cart", "theme"), losses, findings)
    expected.logged_in(expected.next_marker(), "first", 1.0)
    for _ in range(2):
        expected.next_value("cart")
    expected.saw(expected.ask(2.0, alone=True), {"marker": "one-1", "cart": 2}, 2.0)
    return expected
