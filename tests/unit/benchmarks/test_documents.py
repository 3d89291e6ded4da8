"""The figures in docs/ are those of the committed files."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import command
from benchmarks.documents import (
    DOCUMENTS,
    END,
    FILES,
    REMEDY,
    DocumentError,
    capacity,
    filled,
    performance,
    read,
    scaling,
)
from benchmarks.documents.capacity import Assumptions, Load, Measured
from benchmarks.documents.reasons import REASONS
from benchmarks.targets import TARGETS, Target
from chirp.middleware.sessions import SessionConfig

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"
MADE = re.compile(rf"(<!-- figures: \S+ -->\n).*?({END}\n)", re.DOTALL)

MEASURED = Measured(
    worker_reads=10_000, worker_changes=5000, node_reads=100_000, node_changes=50_000, key_bytes=90, value_bytes=390
)
PLAIN = Assumptions(
    busy=0.5, changing=0.1, seconds_between=10, touch_interval=100, link_bits=8e6, wire_bytes=10, headroom=1.5
)


def mark(name: str) -> str:
    return f"<!-- figures: {name} -->"


# The committed pages


@pytest.mark.parametrize("name", DOCUMENTS)
def test_page_shows_the_figures_of_the_committed_files(name: str) -> None:
    """Whoever measures again fills the pages again."""
    page = (ROOT / name).read_text("utf-8")
    try:
        expected = filled(page, DOCUMENTS[name], read(RESULTS))
    except DocumentError as error:
        pytest.fail(f"{name}: {error}; when that is mended, {REMEDY}")
    assert page == expected, f"{name} differs from benchmarks/results: {REMEDY}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_prose_holds_no_measured_number(name: str) -> None:
    """What stands outside the marks stays true whatever the next run measures."""
    prose = MADE.sub("", (ROOT / name).read_text("utf-8"))
    assert re.findall(r"\d[\d.,]*\s?(?:µs|ms|MB|GB|MiB|times|requests/s)|\b\d+\.\d+", prose) == []


@pytest.mark.parametrize("name", ["README.md", *DOCUMENTS])
def test_links_lead_to_files(name: str) -> None:
    """Charts included."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text("utf-8"))
    assert links
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


def test_alternative_texts_of_charts_hold_no_figure() -> None:
    """They would not follow the next run."""
    texts = [
        text for name in ("README.md", *DOCUMENTS) for text in re.findall(r"!\[(.*?)\]", (ROOT / name).read_text())
    ]
    assert texts
    assert [text for text in texts if re.search(r"\d", text)] == []


# Filling a page


def test_only_what_stands_between_marks_is_made_anew() -> None:
    """The second time nothing changes."""
    page = f"Before.\n{mark('one')}\nold\nolder\n{END}\nAfter.\n"
    parts = {"one": lambda results: f"now {results['x']}"}
    made = f"Before.\n{mark('one')}\nnow 5\n{END}\nAfter.\n"
    assert filled(page, parts, {"x": 5}) == made
    assert filled(made, parts, {"x": 5}) == made


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (f"{mark('one')}\n", "has no <!-- end -->"),
        (f"{mark('one')}\n{mark('one')}\n{END}\n", "has no <!-- end -->"),
        (f"{mark('two')}\n{END}\n", "must be one of"),
        ("nothing\n", "must be each of"),
        (f"{mark('one')}\n{END}\n" * 2, "must be each of"),
    ],
)
def test_marks_that_are_wrong_are_an_error(page: str, message: str) -> None:
    """A table that nobody fills would go stale unseen."""
    with pytest.raises(DocumentError, match=message):
        filled(page, {"one": lambda _: "made"}, {})


def test_figure_that_the_files_lack_is_an_error() -> None:
    """It is not left out."""
    with pytest.raises(DocumentError, match=r"one.*lack it.*absent"):
        filled(f"{mark('one')}\n{END}\n", {"one": lambda results: results["absent"]}, {})


def test_missing_files_are_named(tmp_path: Path) -> None:
    """All of them at once."""
    (tmp_path / "asgi.json").write_text("{}")
    with pytest.raises(
        DocumentError,
        match=r"micro\.json, micro-oldest\.json, http\.json, scale\.json, memory\.json, soak\.json, instructions\.json",
    ):
        read(tmp_path)


def test_command_without_results_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what is missing."""
    pages = copy_pages(tmp_path)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    found = CliRunner().invoke(command.commands, ["documents"])
    assert found.exit_code == 1
    assert all(f"{name}.json" in found.output for name in FILES)
    assert {page: page.read_text() for page in pages} == pages


def test_command_fills_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From pages whose figures are gone, it makes the committed ones."""
    pages = copy_pages(tmp_path)
    for page, text in pages.items():
        page.write_text(MADE.sub(r"\1\2", text))
    monkeypatch.setattr(command, "ROOT", tmp_path)
    found = CliRunner().invoke(command.commands, ["documents"])
    assert found.exit_code == 0, found.output
    assert {page: page.read_text() for page in pages} == pages


def copy_pages(folder: Path) -> dict[Path, str]:
    for name in DOCUMENTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    copies = {Path(shutil.copy(ROOT / name, folder / name)) for name in DOCUMENTS}
    return {page: page.read_text("utf-8") for page in copies}


# Targets


def test_every_target_has_a_reason_to_be_missed() -> None:
    """None can be missed without a word."""
    assert set(REASONS) == {target.name for target in TARGETS}


def test_missed_aims_are_listed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its sentence, those that miss the must as well."""
    first, second, third = (
        Target(target.name, "asgi", must=2, aim=1, figure=partial(lambda value, _: value, value))
        for target, value in zip(TARGETS, (1.0, 1.5, 3.0), strict=False)
    )
    monkeypatch.setattr(performance, "TARGETS", (first, second, third))
    results: Mapping[str, Any] = {name: {} for name in FILES}
    missed = performance.PARTS["missed"](results).splitlines()
    assert missed == [f"- **{one.name}.** {REASONS[one.name]}" for one in (second, third)]
    rows = performance.PARTS["targets"](results).splitlines()[2:]
    assert [row.split(" | ")[-1] for row in rows] == ["the aim |", "must |", "**neither** |"]
    monkeypatch.setattr(performance, "TARGETS", (first,))
    assert performance.PARTS["missed"](results) == "Every aim is reached."


@pytest.mark.parametrize(
    ("figure", "shown"), [(0.84, "0.84"), (0.850001, "0.850001"), (0.6, "0.6"), (0.60004, "0.60004"), (1.23456, "1.23")]
)
def test_rounding_changes_no_verdict(figure: float, shown: str) -> None:
    """A figure just above its limit is not shown as equal to it."""
    assert performance.shown(Target("any", "asgi", 0.85, 0.6, lambda _: 0.0), figure) == shown


# Arithmetic of docs/explanation/scaling.md


def test_memory_is_sessions_times_bytes_and_headroom() -> None:
    """Two million sessions of 500 bytes are 1 GB, and 1.5 GB with headroom."""
    assert capacity.node_memory(2_000_000, 500, 1.5) == 1.5e9


@pytest.mark.parametrize(("needed", "expected"), [(0, 1), (0.1, 1), (25, 1), (25.1, 2), (75, 3)])
def test_a_part_of_one_is_a_whole_one(needed: float, expected: int) -> None:
    """Nobody can have less than one."""
    assert capacity.whole(needed, 25) == expected


def test_touches_turn_reads_into_writes() -> None:
    """1,000 requests/s with 10 s between them are 10,000 browsers: 100 touches/s and 100 changes."""
    assert capacity.touches(10_000, 100) == 100
    assert capacity.load_of(1000, PLAIN) == Load(reads=800, writes=200)


def test_there_are_no_more_writes_than_requests() -> None:
    """However short the interval."""
    assert capacity.load_of(1000, replace(PLAIN, touch_interval=1)) == Load(reads=0, writes=1000)


def test_workers_and_nodes_share_reads_and_writes() -> None:
    """Half a worker for the reads and half for the writes are one; a node takes ten times as much."""
    load = Load(reads=5000, writes=2500)
    assert capacity.worker_share(load, MEASURED) == 1
    assert capacity.node_share(load, MEASURED) == 0.1


def test_bytes_on_the_wire() -> None:
    """A load asks with a key and gets a document; a write sends the key and two documents as well."""
    load = Load(reads=90, writes=10)
    assert capacity.bits_from_redis(load, MEASURED, PLAIN) == 8 * 100 * 400
    assert capacity.bits_to_redis(load, MEASURED, PLAIN) == 8 * (100 * 100 + 10 * (100 + 2 * 400))


def test_busier_direction_fills_the_link() -> None:
    """Reads fill that from Redis, writes that to it."""
    assert capacity.link_share(Load(2500, 0), MEASURED, PLAIN) == 1
    assert capacity.link_share(Load(0, 1000), MEASURED, PLAIN) == 1


def test_commands_or_bytes_decide_how_many_primaries() -> None:
    """Whichever is nearer to its limit, at half a node each."""
    wide = replace(PLAIN, link_bits=1e12)
    assert capacity.primaries(Load(100_000, 0), MEASURED, wide) == 2
    assert capacity.primaries(Load(5000, 0), MEASURED, PLAIN) == 4


def test_more_than_one_primary_have_the_figures_of_a_cluster() -> None:
    """It is slower for each node; as long as one node is enough, that does not matter."""
    clustered = replace(MEASURED, node_reads=10_000)
    assert scaling.primaries(Load(50_000, 0), MEASURED, clustered) == 1
    assert scaling.primaries(Load(100_000, 0), MEASURED, clustered) == 15


def test_document_that_fills_the_link_before_the_node() -> None:
    """Loads of that size keep node and link equally busy."""
    wide = replace(PLAIN, link_bits=1e9)
    size = capacity.document_that_fills_the_link(MEASURED, wide)
    there = replace(MEASURED, value_bytes=size)
    assert capacity.link_share(Load(1000, 0), there, wide) == pytest.approx(capacity.node_share(Load(1000, 0), there))


def test_tombstones_stand_for_the_grace() -> None:
    """1,000 a second for 30 s of 100 bytes are 3 MB."""
    assert capacity.tombstone_memory(1000, 100, 30) == 3_000_000


def test_assumed_defaults_are_the_defaults() -> None:
    """The page says so of two of them."""
    config = SessionConfig(secret_key="x" * 32)
    assert config.lifetime.touch_interval == scaling.ASSUMED.touch_interval
    assert config.rotation_grace_seconds == scaling.ASSUMED.grace
