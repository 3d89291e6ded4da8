"""Counts of instructions become ratios, and a ratio above the budget is an error that says what to do."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
BARE, COOKIE, CHIRP = "no sessions", "signed cookie", "chirp on Redis"
LIMITS = {"read": 0.5, "change": 0.7}


@pytest.fixture(scope="module")
def counted() -> Iterator[SimpleNamespace]:
    """The modules of `benchmarks.instructions`, which nobody installs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        names = ("budget", "command", "counting", "figures")
        yield SimpleNamespace(**{name: import_module(f"benchmarks.instructions.{name}") for name in names})


def results(counted: SimpleNamespace, runs: list[tuple[int, int, int]]) -> dict[str, Any]:
    """Make results of what the three contenders counted in each run, the same for both actions."""
    blocks = [
        counted.counting.Block(name, run, 0, action, instructions, {"mget": 10} if name == CHIRP else {})
        for run, counts in enumerate(runs)
        for action in LIMITS
        for name, instructions in zip((BARE, COOKIE, CHIRP), counts, strict=True)
    ]
    found: dict[str, Any] = counted.figures.results_of(blocks, counted.counting.Settings(), {})
    return found


async def test_ratio_is_of_what_is_added(counted: SimpleNamespace) -> None:
    """The app itself counts for nobody: 60 added beside 100 added is 0.6, however much the app costs."""
    counts = results(counted, [(1000, 1100, 1060)])["counts"]["read"]
    assert counts["ratio"] == {"median": 0.6, "least": 0.6, "most": 0.6}
    assert {name: each["added"] for name, each in counts["contenders"].items()} == {BARE: 0, COOKIE: 100, CHIRP: 60}


async def test_spread_of_the_runs_is_stated(counted: SimpleNamespace) -> None:
    """Whoever reads a count or a ratio sees how far the runs lie apart."""
    counts = results(counted, [(1000, 1100, 1060), (1000, 1100, 1070), (1000, 1100, 1050)])["counts"]["read"]
    assert counts["ratio"] == {"median": 0.6, "least": 0.5, "most": 0.7}
    assert counts["contenders"][CHIRP]["instructions"] == {"median": 1060, "least": 1050, "most": 1070}
    assert counts["contenders"][CHIRP]["spread_percent"] == pytest.approx(100 * 20 / 1060, abs=0.01)
    assert counts["contenders"][CHIRP]["commands_per_block"] == {"mget": {"median": 10, "least": 10, "most": 10}}


async def test_counts_at_the_budget_pass(counted: SimpleNamespace) -> None:
    """A limit is the largest ratio that is allowed."""
    counts = results(counted, [(1000, 1100, 1050)])["counts"]
    assert counted.budget.exceeded(counts, LIMITS) == []


async def test_count_above_the_budget_is_told_with_its_remedy(counted: SimpleNamespace) -> None:
    """Action, count, limit, what to run and which line to change; the action that keeps its budget is not named."""
    counts = results(counted, [(100_000, 200_000, 160_000)])["counts"]
    (message,) = counted.budget.exceeded(counts, LIMITS)
    for part in (
        "read: chirp on Redis adds 60,000 instructions",
        "0.600 times the 100,000",
        "the budget is 0.500",
        "--fast --keep FOLDER",
        "raise instructions.read in benchmarks/budget.toml",
    ):
        assert part in message


async def test_committed_budget_can_be_read(counted: SimpleNamespace) -> None:
    """It has a limit for each action."""
    assert set(counted.budget.read(counted.budget.COMMITTED)) == {"read", "change"}


async def test_committed_results_keep_the_committed_budget(counted: SimpleNamespace) -> None:
    """So the two are of the same code."""
    found = json.loads(counted.command.COMMITTED.read_text())
    assert counted.budget.exceeded(found["counts"], counted.budget.read(counted.budget.COMMITTED)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no table"),
        ("[instructions", "cannot be read"),
        ("[instructions]\nread = 0.5", "must have ['change', 'read']"),
        ("[instructions]\nread = 0.5\nchange = 0.7\nwrite = 1", "must have ['change', 'read']"),
        ("[instructions]\nread = 0.5\nchange = '0.7'", "instructions.change = '0.7'"),
        ("[instructions]\nread = 0\nchange = 0.7", "instructions.read = 0"),
        ("[instructions]\nread = 0.5\nchange = nan", "instructions.change = nan"),
    ],
)
async def test_what_is_no_budget_is_refused(counted: SimpleNamespace, tmp_path: Path, text: str, told: str) -> None:
    """A limit that is missing or misspelt must not let everything pass."""
    path = tmp_path / "budget.toml"
    path.write_text(text)
    with pytest.raises(counted.budget.BudgetError) as error:
        counted.budget.read(path)
    assert told in str(error.value)


@pytest.mark.parametrize(("cost", "status"), [(1050, 0), (1051, 1)])
async def test_check_fails_above_the_budget(
    counted: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cost: int, status: int
) -> None:
    """The exit code tells, and the results are written in either case."""
    (tmp_path / "budget.toml").write_text("[instructions]\nread = 0.5\nchange = 0.5")
    monkeypatch.setattr(counted.budget, "COMMITTED", tmp_path / "budget.toml")
    found = results(counted, [(1000, 1100, cost)])
    packages = ("server", "python", "redis", "hiredis", "starlette", "valgrind")
    monkeypatch.setattr(counted.command, "_count", lambda *_: found | {"versions": dict.fromkeys(packages, "1")})
    run = CliRunner().invoke(counted.command.commands, ["--check", "--out", str(tmp_path / "out.json")])
    assert (run.exit_code, "the budget is 0.500" in run.stderr) == (status, bool(status))
    assert (tmp_path / "out.json").exists()


async def test_without_valgrind_it_fails_and_says_how_to_install_it(
    counted: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing counted is no success."""
    monkeypatch.setenv("PATH", str(tmp_path))
    run = CliRunner().invoke(counted.command.commands, ["--check", "--out", str(tmp_path / "out.json")])
    assert (run.exit_code, "apt-get install valgrind" in run.stderr) == (1, True)


async def test_a_fast_run_is_not_checked(counted: SimpleNamespace) -> None:
    """The budget is for the figures of a full run."""
    run = CliRunner().invoke(counted.command.commands, ["--check", "--fast"])
    assert (run.exit_code, "--check needs a full run" in run.stderr) == (2, True)


async def test_a_dump_without_totals_is_an_error(counted: SimpleNamespace) -> None:
    """Another valgrind's file must not count as nothing."""
    assert counted.counting.total("events: Ir\ntotals: 4711\n") == 4711
    with pytest.raises(counted.counting.CountingError):
        counted.counting.total("events: Ir\nsummary: 4711\n")
