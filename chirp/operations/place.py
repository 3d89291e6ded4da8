"""Where an operator says that sessions are, and a store on it, whose settings hide nothing that lives there."""

import asyncio
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoPermissionError, RedisError

from chirp.checks.facts import Cluster
from chirp.checks.gathering import cluster_of, info_of, is_sentinel, unless_refused
from chirp.checks.line import ANSWER_SECONDS, Target, target_of
from chirp.errors import ConfigurationError, StoreUnavailable
from chirp.middleware.sessions.config import FOUR_HUNDRED_DAYS, SessionConfig
from chirp.middleware.sessions.redis_store import RedisSessionStore
from chirp.redis_url import address_of, host_and_port, not_reached, within

STEP_SECONDS = 10.0  # for one answer; a server in trouble is what operators look at
LOOKING = "+get +pttl +scan +dbsize +zrange"
ENDING = "+set +del +eval +evalsha +zrem +multi +exec"

T = TypeVar("T")
Server: TypeAlias = tuple[str, int] | None  # host and port


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sessions of an app are.

    Attributes:
        redis_url: of the server; of a cluster, of any node.
        prefix: the store's `key_prefix`.
        user_key: as in `SessionConfig`.
        created_at_key: as in `SessionConfig`.
        last_seen_at_key: as in `SessionConfig`.
    """

    redis_url: str
    prefix: str
    user_key: str
    created_at_key: str
    last_seen_at_key: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What a server says of its memory, in bytes; a limit of 0 is none."""

    address: str
    used: int
    limit: int


class Opened:
    """A store that is open.

    Args:
        store: to look at sessions with, and to end them.
        runner: of the event loop that it belongs to.
        target: how its servers are reached.
        servers: where they are; None is where the URL says.

    Attributes:
        store: as given.
    """

    def __init__(
        self, store: RedisSessionStore, runner: asyncio.Runner, target: Target, servers: Sequence[Server]
    ) -> None:
        self.store = store
        self._runner = runner
        self._target = target
        self._servers = servers

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what the store is asked for, and return its result."""
        return self._runner.run(work)

    def memory(self) -> list[Memory]:
        """Return what the servers say of their memory; those that do not say, or do not answer, are left out."""
        told: list[Memory] = []
        for server in self._servers:
            with suppress(RedisError, OSError), self._target.line(server) as line:
                info = info_of(line)
                address = "" if server is None else host_and_port(*server)
                told.append(Memory(address, int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))))
        return told


@contextmanager
def opened(place: Place) -> Iterator[Opened]:
    """Open a store, on a node or on a cluster, whichever answers.

    Its lifetimes are the longest that there are: how long a session lives is known to the app, and to the server's TTL.

    Raises:
        ConfigurationError: not a usable URL, or names that no store can have.
        StoreUnavailable: the server does not answer, or the user may not do what is asked.
    """
    address, target = address_of(place.redis_url), target_of(place.redis_url)
    cluster = cluster_at(target, address)
    config = SessionConfig(
        secret_key=secrets.token_urlsafe(32),  # nothing is signed
        max_age=FOUR_HUNDRED_DAYS,
        user_key=place.user_key,
        created_at_key=place.created_at_key,
        last_seen_at_key=place.last_seen_at_key,
    )
    way: dict[str, Any] = {"redis_url": place.redis_url}
    if cluster is not None:
        way = {"client": lambda: RedisCluster.from_url(place.redis_url)}
    store = RedisSessionStore(config, key_prefix=place.prefix, timeout_seconds=STEP_SECONDS, **way)
    with asyncio.Runner() as runner:
        try:
            yield Opened(store, runner, target, [None] if cluster is None else list(cluster.primaries or ()))
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, NoPermissionError):
                raise
            raise StoreUnavailable(
                f"{error}; ACL SETUSER <user> {LOOKING} lets it look at sessions, {ENDING} end them; "
                "a cluster takes +cluster|slots +asking as well"
            ) from error
        finally:
            runner.run(store.aclose())


def cluster_at(target: Target, address: str) -> Cluster | None:
    """Return the cluster that a server belongs to; None if it belongs to none.

    Raises:
        ConfigurationError: it is a Sentinel.
        StoreUnavailable: it does not answer.
    """

    def look() -> Cluster | None:
        with target.line() as line:
            info = unless_refused(lambda: info_of(line)) or {}
            if is_sentinel(info):
                raise ConfigurationError(
                    f"{address} is a Sentinel, which keeps no sessions: give the primary's address, which "
                    "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster tells"
                )
            return cluster_of(line, str(target.settings.get("host", "localhost")), info)

    try:
        return within(3 * ANSWER_SECONDS, look)
    except Exception as error:  # noqa: BLE001 - a defect is raised again
        raise not_reached(error, address, ANSWER_SECONDS) from None
