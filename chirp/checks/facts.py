"""What is known of one server, as findings are made of it. None, or absent, is what could not be looked at."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias


class Refusal(Enum):
    """Why a server did not do what it was asked."""

    PERMISSION = auto()  # the ACL forbids the command
    KEY = auto()  # the ACL forbids the key
    UNKNOWN_COMMAND = auto()
    READ_ONLY = auto()
    MEMORY = auto()
    SNAPSHOT = auto()  # the last save has failed, and writes are stopped until one succeeds
    REPLICAS = auto()  # fewer of them than min-replicas-to-write
    CLUSTER_DOWN = auto()
    NOT_HERE = auto()  # nothing is wrong: the key is another node's, no such script, no transaction
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal.

    Attributes:
        why: what it comes to.
        words: the server's, in one line of printable characters.
    """

    why: Refusal
    words: str


@dataclass(frozen=True, slots=True)
class Link:
    """How the server is reached.

    Attributes:
        scheme: `redis`, `rediss` or `unix`, as in URLs.
        loopback: whether nobody can be in between: this machine's own addresses, or a socket's file.
        password: whether one was sent.
        verify: how the server's certificate is checked, where the scheme is rediss.
        check_hostname: whether its name is compared.
        expires: when it does, in Unix seconds.
    """

    scheme: str
    loopback: bool
    password: bool
    verify: int = ssl.CERT_NONE
    check_hostname: bool = False
    expires: float | None = None


Place: TypeAlias = tuple[str, int]  # host and port
Slots: TypeAlias = tuple[int, int]  # the first and the last of a range


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who serves which slots, as one node says.

    Attributes:
        primaries: with the ranges of slots that each serves; None where the node does not tell.
    """

    primaries: Mapping[Place, Sequence[Slots]] | None

    @property
    def served(self) -> int:
        """How many of the 16,384 slots are."""
        return sum(last - first + 1 for ranges in (self.primaries or {}).values() for first, last in ranges)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one server has said.

    Attributes:
        address: where it is.
        prefix: with which the store's keys begin.
        link: how it is reached.
        info: of INFO; empty if that was refused.
        config: of CONFIG GET, by name.
        database: the number in the URL.
        trials: what came of calls that a store makes, by command; None where it was allowed.
        not_told: questions that the server refuses to answer, such as `CONFIG GET`.
        round_trips: how long each took, in seconds.
        clock_ahead: by how many seconds the server's clock is ahead of this machine's; negative if it is behind.
        clock_doubt: by how much that may be wrong.
        open_default: whether the user `default` needs no password.
        keys: how many the database has.
        sampled: how many of them were looked at; None if none could be.
        foreign: how many of those do not begin with the prefix.
        now: Unix seconds.
    """

    address: str
    prefix: str
    link: Link
    info: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    database: int = 0
    trials: Mapping[str, Refused | None] = field(default_factory=dict)
    not_told: Sequence[str] = ()
    round_trips: Sequence[float] = ()
    clock_ahead: float | None = None
    clock_doubt: float = 0.0
    open_default: bool | None = None
    keys: int | None = None
    sampled: int | None = None
    foreign: int = 0
    now: float = 0.0

    def number(self, name: str) -> int:
        """Return a number of INFO's; 0 if it does not have it."""
        value = self.info.get(name, "")
        return int(value) if value.isdecimal() else 0

    def refusal(self, command: str) -> Refusal | None:
        """Return why a trial was refused, if it was."""
        refused = self.trials.get(command)
        return None if refused is None else refused.why
