"""What a scenario is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.contenders.contender import Contender
from benchmarks.measure import Figures
from benchmarks.sessions import PAYLOAD_BYTES

Turn: TypeAlias = Mapping[str, Figures]  # by the contender's name: one round, one case, one action


@dataclass(frozen=True, slots=True)
class Case:
    """What differs between two turns of a contender.

    Attributes:
        tasks: at once.
        payload_bytes: of each session.
        nodes: servers that share the sessions.
    """

    tasks: int
    payload_bytes: int = PAYLOAD_BYTES
    nodes: int = 1


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
        varies: the field of `Case` that the tables and charts go through.
        contenders: who takes part, in the order of the results.
        ratios: what is shown of them.
    """

    name: str
    description: str
    varies: str
    contenders: Sequence[type[Contender]]
    ratios: Sequence[Ratio]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of a scenario is measured.

    Attributes:
        rounds: that count; one more goes before them and does not.
        cases: in each round, in this order.
        operations: of one measurement; a contender may have a lower bound.
        least_times: each task takes an action, however many tasks there are.
    """

    rounds: int
    cases: Sequence[Case]
    operations: int
    least_times: int = 1

    def times(self, contender: Contender, tasks: int) -> int:
        """Return how often each task takes an action."""
        most = min(self.operations, contender.most_operations or self.operations)
        return max(self.least_times, most // tasks)

    def turns(self, scenario: Scenario) -> int:
        """Return how many turns all contenders take together."""
        return (self.rounds + 1) * len(self.cases) * len(scenario.contenders)
