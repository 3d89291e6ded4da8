"""Charts that a person can read, whatever the figures are."""

from pathlib import Path

import matplotlib.image
import pytest

from benchmarks import charts


def draw(path: Path, values: dict[str, list[float]], *, log: bool) -> str:
    with charts.chart(path, "The title", 1, height=3) as axes:
        charts.lines(axes[0], "A panel", [1, 20, 64_000], values, label="tasks", log=log)
        return " ".join(text.get_text() for text in axes[0].texts)


@pytest.mark.parametrize("log", [False, True])
def test_lines_are_named_with_their_last_number(tmp_path: Path, log: bool) -> None:
    """Nobody has to look for a legend."""
    assert draw(tmp_path / "chart", {"chirp": [3, 2, 1.5], "peer": [9, 9, 1234]}, log=log) == "chirp 1.5 peer 1,234"


def test_names_of_lines_that_end_together_do_not_overlap(tmp_path: Path) -> None:
    """They are moved apart, the higher line's above."""
    with charts.chart(tmp_path / "chart", "The title", 1, height=3) as axes:
        charts.lines(axes[0], "A panel", [1, 2], {"one": [1, 5.01], "two": [9, 5]}, label="tasks")
        heights = {text.get_text(): text.xy[1] for text in axes[0].texts}
    assert heights["one 5.01"] - heights["two 5"] >= charts.LABEL_HEIGHT - 1e-9


def test_noise_below_zero_is_drawn_on_a_logarithmic_scale(tmp_path: Path) -> None:
    """A difference of two figures may be negative, in a short run above all."""
    draw(tmp_path / "chart", {"chirp": [3, 2, -1], "peer": [9, -9, 0]}, log=True)
    assert (tmp_path / "chart.png").stat().st_size > 0


def test_background_is_opaque_and_white(tmp_path: Path) -> None:
    """The same chart stands on light and on dark pages."""
    draw(tmp_path / "chart", {"chirp": [3, 2, 1]}, log=False)
    corner = matplotlib.image.imread(tmp_path / "chart.png")[0, 0]
    assert corner.tolist() == [1, 1, 1, 1]


def test_bars_carry_their_numbers(tmp_path: Path) -> None:
    """So that no axis is needed."""
    with charts.chart(tmp_path / "chart", "The title", 1, height=3) as axes:
        charts.bars(axes[0], "A panel", {"chirp": 12.34, "peer": 5678.9}, unit=" µs")
        assert [text.get_text() for text in axes[0].texts] == ["12.3 µs", "5,679 µs"]


def test_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    """A chart changes in the repository when its figures do, and not otherwise."""
    for name in ("one", "two"):
        draw(tmp_path / name, {"chirp": [3, 2, 1]}, log=True)
    for suffix in ("svg", "png"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
