"""The command line of `python -m benchmarks`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import command, results

COMMANDS = ("micro", "asgi", "http", "scale", "memory", "soak")
BRIEF = ("--smoke", "--rounds", "1")


def run(*args: str) -> Any:
    return CliRunner().invoke(command.commands, args)


def test_smoke_run_writes_results_and_both_charts(redis_url: str, tmp_path: Path) -> None:
    """A folder is enough to say where; the names are the command's."""
    found = run("micro", *BRIEF, "--redis", redis_url, "--out", str(tmp_path))
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["micro.json", "micro.png", "micro.svg"]
    assert json.loads((tmp_path / "micro.json").read_text())["settings"]["rounds"] == 1
    assert "throughput / pooled client" in found.output


@pytest.mark.parametrize("name", COMMANDS)
def test_smoke_run_does_not_replace_what_is_committed(name: str) -> None:
    """Its figures mean nothing, so it has to be told where they go."""
    found = run(name, "--smoke")
    assert found.exit_code == 2
    assert "--smoke needs --out" in found.output


@pytest.mark.parametrize(
    ("out", "file", "chart"),
    [
        ("new/", "new/asgi.json", "new/asgi"),
        ("mine", "mine.json", "mine"),
        ("mine.json", "mine.json", "mine"),
        ("v1.2", "v1.2.json", "v1.2"),
    ],
)
def test_out_is_a_folder_or_the_start_of_the_names(out: str, file: str, chart: str) -> None:
    """What ends in a slash is a folder, whether it exists or not."""
    assert command.files("asgi", out) == (Path(file), Path(chart))


def test_full_run_goes_where_the_files_are_committed() -> None:
    """Results beside the code, charts among the documents."""
    root = Path(__file__).parents[3]
    assert command.files("http", None) == (root / "benchmarks/results/http.json", root / "docs/charts/http")


def test_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    """No traceback, and no file."""
    found = run("micro", *BRIEF, "--redis", "redis://127.0.0.1:1/0", "--out", str(tmp_path))
    assert found.exit_code == 1
    assert "Traceback" not in found.output
    assert list(tmp_path.iterdir()) == []


def test_url_of_no_server_does_not_show_the_password(tmp_path: Path) -> None:
    """Whoever mistypes a URL does not find its password in a log."""
    found = run("micro", *BRIEF, "--redis", "rediss//user:hush@somewhere", "--out", str(tmp_path))
    assert found.exit_code == 1
    assert "hush" not in found.output


def test_charts_are_drawn_again_from_the_files(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without measuring anything, and with the same bytes."""
    run("micro", *BRIEF, "--redis", redis_url, "--out", str(tmp_path))
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setattr(command, "CHARTS", tmp_path / "again")
    found = run("charts")
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["micro.png", "micro.svg"]
    for name in ("micro.svg", "micro.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_targets_show_what_is_known(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that no file has is a question mark, not an error."""
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    results.write(tmp_path / "instructions.json", {"counts": {"read": {"ratio": {"median": 0.5}}}})
    found = run("targets")
    assert found.exit_code == 0, found.output
    row = next(line for line in found.output.splitlines() if line.startswith("read, instructions"))
    assert row.split()[-7:] == ["0.5", "≤", "0.6", "yes", "≤", "0.45", "no"]
    row = next(line for line in found.output.splitlines() if line.startswith("change, instructions"))
    assert row.split()[-7:] == ["-", "≤", "0.8", "?", "≤", "0.6", "?"]
