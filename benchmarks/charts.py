"""How every chart looks, and how it is saved: the same results give the same bytes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.screen import number

INK = "#1f2328"
FAINT = "#6e7781"
CHIRP = "#0f766e"  # what this package does; everything else is grey
CHIRP_PALE = "#5eada5"
PEER = "#9aa4ae"
PEER_DARK = "#57606a"

WIDTH = 9.0  # inches
LABEL_HEIGHT = 0.085  # of a panel's height; labels nearer to each other could not be read
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": PEER,
    "axes.labelcolor": FAINT,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "svg.hashsalt": "chirp",
}


@contextmanager
def chart(path: Path, title: str, *panels: int, height: float) -> Iterator[list[Axes]]:
    """Give the panels to draw on, and save them as `path` with `.svg` and `.png` when the block ends.

    Args:
        path: without a suffix; missing folders are made.
        title: over everything; what the figures say.
        panels: how many stand beside each other in each row.
        height: of everything, in inches.
    """
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        rows = figure.subfigures(len(panels), 1, squeeze=False)[:, 0]
        row_axes = [row.subplots(1, count, squeeze=False)[0] for row, count in zip(rows, panels, strict=True)]
        yield [one for row in row_axes for one in row]
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(f"{path}.svg", metadata={"Date": None, "Creator": None})
        figure.savefig(f"{path}.png", dpi=160, metadata={"Software": None})


def bars(
    axes: Axes,
    title: str,
    values: Mapping[str, float],
    *,
    colours: Mapping[str, str] | None = None,
    unit: str = "",
    note: str = "",
) -> None:
    """Draw one horizontal bar for each value, first one on top, each with its number.

    Args:
        axes: where.
        title: of the panel.
        values: by the bar's label.
        colours: by label; grey for the others.
        unit: behind each number.
        note: below the bars.
    """
    labels = list(values)
    colour = [(colours or {}).get(label, PEER) for label in labels]
    drawn = axes.barh(labels, list(values.values()), color=colour, height=0.68)
    axes.bar_label(drawn, [f"{number(value)}{unit}" for value in values.values()], padding=4, color=INK)
    axes.set_title(title)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0, colors=INK)
    axes.set_xticks([])
    axes.set_xlabel(note, loc="left")


def lines(
    axes: Axes,
    title: str,
    over: Sequence[int],
    values: Mapping[str, Sequence[float]],
    *,
    colours: Mapping[str, str] | None = None,
    label: str,
    log: bool = False,
) -> None:
    """Draw one line for each row of values, its name and last number at its end instead of a legend.

    Args:
        axes: where.
        title: of the panel.
        over: what the values belong to, evenly spaced.
        values: by the line's name.
        colours: by name; grey for the others.
        label: what `over` counts.
        log: a logarithmic scale.
    """
    places = range(len(over))
    for name, row in values.items():
        axes.plot(places, row, color=(colours or {}).get(name, PEER_DARK), linewidth=2, marker="o", markersize=4)
    axes.set_title(title)
    axes.set_xticks(places, [_short(one) for one in over])
    axes.set_xlabel(label)
    axes.set_yscale("log" if log else "linear")
    if log:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if not log:
        axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    _name_at_the_end(axes, {name: row[-1] for name, row in values.items()}, colours or {})


def _short(count: int) -> str:
    """Write 64000 as 64k and 1000000 as 1M, since ticks stand close together."""
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return str(count)


def _name_at_the_end(axes: Axes, ends: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Write each line's name and last number beside its end, moved apart where they would overlap."""
    to_axes = axes.transData + axes.transAxes.inverted()
    last = axes.get_xticks()[-1]
    heights = {name: float(to_axes.transform((last, value))[1]) for name, value in ends.items()}
    lowest = 0.0
    for name in sorted(heights, key=heights.__getitem__):
        height = max(heights[name], lowest)
        lowest = height + LABEL_HEIGHT
        text = f"{name} {number(ends[name])}".strip()
        colour = colours.get(name, PEER_DARK)
        axes.annotate(text, (1.0, height), xycoords="axes fraction", va="center", color=colour, annotation_clip=False)
