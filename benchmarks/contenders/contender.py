"""What a contender is, and the check that all of them do the same work."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from benchmarks.sessions import PAYLOAD_BYTES, session_after

SECRET = "of-the-benchmark-and-32-characters-long"


class WrongSessionError(Exception):
    """A contender gave another session than it had to, so its figures would mean nothing."""


class Contender(ABC):
    """One way to keep sessions. Task `n` has the session `n`, and nobody else uses that one at the same time.

    Args:
        redis_url: the server of the run.
        key_prefix: what every key has to start with, so that it is deleted afterwards.
        payload_bytes: size of each session as compact JSON.

    Attributes:
        name: in the results.
        description: what it does and with which settings, in the results.
        most_operations: bound of one measurement; None for no own bound.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    most_operations: ClassVar[int | None] = None

    def __init__(self, redis_url: str, key_prefix: str, payload_bytes: int = PAYLOAD_BYTES) -> None:
        self.redis_url = redis_url
        self.key_prefix = key_prefix
        self.payload_bytes = payload_bytes

    def session(self, task: int, changes: int = 0) -> dict[str, Any]:
        """Return what the task's session has to hold after that many changes."""
        return session_after(task, changes, self.payload_bytes)

    @abstractmethod
    async def begin(self, sessions: int) -> None:
        """Store that many sessions anew, each as `session(task)` has it."""

    @abstractmethod
    async def read(self, task: int) -> object:
        """Get the session and look at it; timed. Return something that tells the right session from a wrong one."""

    @abstractmethod
    async def change(self, task: int) -> object:
        """Add one to the session's counter and store it; timed. Return as `read` does."""

    @abstractmethod
    async def show(self, task: int) -> dict[str, Any]:
        """Return the whole session as it is kept now; not timed."""

    @abstractmethod
    def seen(self, session: dict[str, Any]) -> object:
        """Return what `read` or `change` has to return when this is the session afterwards."""

    async def close(self) -> None:  # noqa: B027 - some hold nothing open
        """Close what it opened."""


def expect(contender: Contender, what: str, found: object, expected: object) -> None:
    """Compare.

    Raises:
        WrongSessionError: they differ.
    """
    if found != expected:
        raise WrongSessionError(f"{contender.name}: {what} gave {found!r}, and {expected!r} is right")


async def check_work(contender: Contender, tasks: Iterable[int]) -> None:
    """Take each action once and see that it did its work; leaves the sessions changed once.

    Raises:
        WrongSessionError: it did something else.
    """
    for task in tasks:
        before, after = contender.session(task), contender.session(task, 1)
        expect(contender, "the session as begun", await contender.show(task), before)
        expect(contender, "read", await contender.read(task), contender.seen(before))
        expect(contender, "change", await contender.change(task), contender.seen(after))
        expect(contender, "read after a change", await contender.read(task), contender.seen(after))
        expect(contender, "the session after a change", await contender.show(task), after)
