"""What a scenario is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.contenders.contender import Contender
from benchmarks.measure import Figures

Turn: TypeAlias = Mapping[str, Figures]  # by the contender's name: one round, one action, one number of tasks


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure that compares contenders within one round.

    Attributes:
        name: in the results.
        meaning: what is divided by what, and which way is good.
        of: computes it; None where noise has left nothing to divide by.
    """

    name: str
    meaning: str
    of: Callable[[Turn], float | None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Contenders that do the same work.

    Attributes:
        name: in the results and on the screen.
        description: what is measured.
        contenders: who takes part, in the order of the results.
        ratios: what is shown of them.
    """

    name: str
    description: str
    contenders: Sequence[type[Contender]]
    ratios: Sequence[Ratio]
