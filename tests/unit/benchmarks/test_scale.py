"""What a run of `scale` leaves in its file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scale

TINY = replace(scale.SMOKE, concurrency=(1, 3), sizes=(100, 64_000), nodes=(1, 2), tasks=3, operations=6)


@pytest.fixture(scope="module")
async def found(redis_url: str) -> dict[str, Any]:
    advanced: list[None] = []
    results: dict[str, Any] = await scale.run(TINY, redis_url, lambda: advanced.append(None))
    assert len(advanced) == scale.steps(TINY)
    return results


@pytest.mark.parametrize(
    ("scenario", "varies", "over"),
    [("concurrency", "tasks", [1, 3]), ("sizes", "payload_bytes", [100, 64_000]), ("nodes", "nodes", [1, 2])],
)
async def test_each_part_goes_through_what_grows(
    found: dict[str, Any], scenario: str, varies: str, over: list[int]
) -> None:
    """The rest stays as it is."""
    part = found["scenarios"][scenario]
    assert part["varies"] == varies
    assert sorted({row[varies] for row in part["rounds"]}) == over
    for fixed in {"tasks", "payload_bytes", "nodes"} - {varies}:
        assert len({row[fixed] for row in part["rounds"]}) == 1


async def test_tail_is_that_of_the_requests(found: dict[str, Any]) -> None:
    """p99 / p50 is of the requests through an app, not of the store alone."""
    part = found["scenarios"]["concurrency"]
    requests = {row["tasks"]: row for row in part["rounds"] if row["contender"] == "chirp on Redis"}
    for value in part["ratios"][0]["values"]:
        figures = requests[value["tasks"]][value["action"]]
        assert value["median"] == pytest.approx(figures["p99_us"] / figures["p50_us"], rel=1e-3)


def test_everything_is_shown_and_drawn(
    found: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three tables of figures, and one chart."""
    scale.show(found)
    shown = capsys.readouterr().out
    assert all(f"\n{name}: " in shown for name in ("concurrency", "sizes", "nodes"))
    scale.draw(found, tmp_path / "scale")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scale.png", "scale.svg"]
