"""The commands that are needed, and a call of each that changes nothing, whether it is allowed or not.

Each is really called, since that is true of every version, of commands that were renamed or that a service leaves out,
and of users who may not ask what they may do. A server looks at permissions before it looks at anything else, and the
key does not exist.
"""

from dataclasses import dataclass
from enum import Enum

from redis.exceptions import ResponseError

from chirp.checks.facts import Refused
from chirp.checks.line import Line, refused

KEY = "{key}"  # in a call: a key under the prefix that does not exist
DATABASE = "{database}"
NO_SCRIPT = "0" * 40


class Use(Enum):
    """What a command is for; the value is what happens without it."""

    SESSIONS = "Requests with a session get a 503."
    USERS = "Sessions of users stand in a list that these keep: whoever signs in gets a 503."
    COMMAND_LINE = "There is no look through all sessions, as `chirp sessions` takes it, and here none for other keys."


class Where(Enum):
    """Which servers need it."""

    ANY = "any"
    NODE = "node"  # one that is not part of a cluster
    DATABASE = "database"  # one whose URL names another database than 0
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Needed:
    """A command.

    Attributes:
        call: its words; `KEY` and `DATABASE` are filled in.
        use: what for.
        where: on which servers.
        words: how many of the call are its name.
    """

    call: tuple[str, ...]
    use: Use = Use.SESSIONS
    where: Where = Where.ANY
    words: int = 1

    @property
    def name(self) -> str:
        return " ".join(self.call[: self.words])

    @property
    def rule(self) -> str:
        return "+" + "|".join(self.call[: self.words]).lower()


# In this order: what opens a transaction comes last.
NEEDED = (
    Needed(("SELECT", DATABASE), where=Where.DATABASE),
    Needed(("CLUSTER", "SLOTS"), where=Where.CLUSTER, words=2),
    Needed(("ASKING",), where=Where.CLUSTER),
    Needed(("GET", KEY)),
    Needed(("MGET", KEY)),
    Needed(("SET", KEY, "", "XX", "PX", "1")),
    Needed(("DEL", KEY)),
    Needed(("EVAL", "return 1", "0")),
    Needed(("EVALSHA", NO_SCRIPT, "0")),
    Needed(("ZADD", KEY, "XX", "0", "nobody"), Use.USERS),
    Needed(("ZREM", KEY, "nobody"), Use.USERS),
    Needed(("ZRANGE", KEY, "0", "0"), Use.USERS),
    Needed(("ZREMRANGEBYSCORE", KEY, "0", "0"), Use.USERS),
    Needed(("PTTL", KEY), Use.USERS),
    Needed(("PEXPIRE", KEY, "1"), Use.USERS),
    Needed(("DBSIZE",), Use.COMMAND_LINE),
    Needed(("SCAN", "0", "COUNT", "1"), Use.COMMAND_LINE),
    Needed(("EXEC",), where=Where.NODE),
    Needed(("MULTI",), where=Where.NODE),
)


def needed(*, cluster: bool, database: int) -> list[Needed]:
    """Return the commands that such a server is sent."""
    here = {Where.ANY, Where.CLUSTER if cluster else Where.NODE}
    if database:
        here.add(Where.DATABASE)
    return [each for each in NEEDED if each.where in here]


def try_all(line: Line, key: str, *, cluster: bool, database: int) -> dict[str, Refused | None]:
    """Call each command that such a server is sent; return what came of it, by name, None where it was done.

    Args:
        line: to the server, and not used afterwards.
        key: one that does not exist.
        cluster: whether the server is part of one.
        database: which the URL names.

    Raises:
        RedisError: the connection failed.
        OSError: so it did.
    """
    filled = {KEY: key, DATABASE: str(database)}
    trials: dict[str, Refused | None] = {}
    for each in needed(cluster=cluster, database=database):
        try:
            line.ask(*(filled.get(word, word) for word in each.call))
        except ResponseError as error:
            trials[each.name] = refused(error)
        else:
            trials[each.name] = None
    return trials
