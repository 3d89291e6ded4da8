"""What each command is: a module that has what stands here. `command` names it, and does the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol


class Benchmark(Protocol):
    """One of the commands.

    Attributes:
        FULL: settings of a real run, a frozen dataclass. `--rounds` replaces its `rounds`.
        SMOKE: settings of a run that takes seconds.
    """

    FULL: Any
    SMOKE: Any

    @staticmethod
    def steps(settings: Any) -> int:
        """Return how often `run` calls `advance`."""
        ...

    @staticmethod
    def run(settings: Any, redis_url: str, advance: Callable[[], None]) -> Any:
        """Return what the file is to hold: `versions`, `machine`, `settings` and figures. May be a coroutine function.

        Args:
            settings: how much.
            redis_url: a server that nobody else uses meanwhile.
            advance: moves the progress bar by one step.

        Raises:
            WrongSessionError: a contender did not do the work that is measured.
        """
        ...

    @staticmethod
    def show(results: dict[str, Any]) -> None:
        """Print the tables."""
        ...

    @staticmethod
    def draw(results: dict[str, Any], path: Path) -> None:
        """Save the chart as `path` with `.svg` and `.png`; `path` has no suffix."""
        ...
