"""The run at the lowest versions takes them from what is published."""

import pytest
from lowest import constraints

PROJECT = {
    "name": "shop",
    "dependencies": ["anyio>=4.4"],
    "optional-dependencies": {"redis": ["redis[hiredis]>=6.0"], "demo": ["shop[redis]"]},
}


def test_each_dependency_is_held_at_its_lowest() -> None:
    """Those of extras too; the package itself is none."""
    assert constraints(PROJECT) == ["anyio==4.4", "redis==6.0"]


@pytest.mark.parametrize("needed", ["anyio", "anyio<5", "anyio>=4.4,<5"])
def test_a_dependency_without_a_lowest_version_is_refused(needed: str) -> None:
    """It would be tried at the newest one, unnoticed."""
    with pytest.raises(ValueError, match="must be a name and its lowest version"):
        constraints(PROJECT | {"dependencies": [needed]})
