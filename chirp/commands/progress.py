"""A bar that moves while something long goes on, where somebody can see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from chirp.commands.shared import errors, screen


def seen(console: Console) -> bool:
    """Tell whether somebody looks at a console, on a terminal that can move its cursor."""
    return console.is_interactive and console.file.isatty()


@contextmanager
def moving(what: str, *, console: Console = errors) -> Iterator[Callable[[float], None]]:
    """Show a bar, and give what moves it: it is told how much is done, from 0 to 1. It is gone afterwards.

    Args:
        what: is done.
        console: whatever else is printed to the same terminal meanwhile has to go there.
    """
    if not seen(console):
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    # What is printed to another file than the console's stays there.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def console_of_rows() -> Console:
    """Return where to show the bar while rows are printed: above it, where both are on the same terminal."""
    return screen if seen(screen) else errors
