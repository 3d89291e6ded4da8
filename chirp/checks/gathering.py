"""Asking one server. What it refuses to tell is left out of the facts, and named in them."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from redis.crc import key_slot
from redis.exceptions import ResponseError

from chirp.checks.facts import Cluster, Facts, Place, Slots
from chirp.checks.line import Line, text_of
from chirp.checks.permissions import try_all

ROUND_TRIPS = 50
MEASURED_SECONDS = 2.0  # at most; on a slow way fewer round trips tell enough
SAMPLED_KEYS = 1000
MOST_KEYS_TRIED = 10_000
SETTINGS = (
    "save",
    "appendfsync",
    "min-replicas-to-write",
    "cluster-require-full-coverage",
    "bind",
    "port",
    "tls-port",
    "protected-mode",
)

T = TypeVar("T")


def gather(
    line: Line, address: str, prefix: str, *, database: int, slots: Sequence[Slots] | None, clock: Callable[[], float]
) -> Facts:
    """Ask a server all that findings are made of.

    Args:
        line: to the server, and not used afterwards.
        address: where it is.
        prefix: with which the store's keys begin.
        database: to look at.
        slots: that it serves, none if that is not known; None if it is not part of a cluster.
        clock: returns Unix seconds.

    Raises:
        RedisError: the connection failed.
        OSError: so it did.
    """
    not_told: list[str] = []

    def told(question: str, answer: Callable[[], T]) -> T | None:
        given = unless_refused(answer)
        if given is None:
            not_told.append(question)
        return given

    selected = database == 0 or unless_refused(lambda: line.ask("SELECT", str(database))) is not None
    key = key_in(slots, prefix)
    ahead, doubt = told("TIME", lambda: compare_clocks(line, clock)) or (None, 0.0)
    sample = unless_refused(lambda: line.ask("SCAN", "0", "COUNT", str(SAMPLED_KEYS))[1]) if selected else None
    return Facts(
        address=address,
        prefix=prefix,
        link=line.link(),
        info=told("INFO", lambda: info_of(line)) or {},
        config=told("CONFIG GET", lambda: config_of(line)) or {},
        database=database,
        keys=unless_refused(lambda: int(line.ask("DBSIZE"))) if selected else None,
        sampled=None if sample is None else len(sample),
        foreign=sum(not each.startswith(prefix.encode()) for each in sample or ()),
        open_default=told("ACL GETUSER", lambda: needs_no_password(line)),
        clock_ahead=ahead,
        clock_doubt=doubt,
        round_trips=measure(line, key),
        trials=try_all(line, key, cluster=slots is not None, database=database),
        not_told=not_told,
        now=clock(),
    )


def cluster_of(line: Line, told_by: str, info: Mapping[str, str]) -> Cluster | None:
    """Return the cluster that a server belongs to; None if it belongs to none, or tells neither way.

    Args:
        line: to the server.
        told_by: its host, which a node leaves out where it does not know it.
        info: of INFO.
    """
    try:
        ranges = line.ask("CLUSTER", "SLOTS")
    except ResponseError:
        return Cluster(None) if info.get("cluster_enabled") == "1" else None
    primaries: dict[Place, list[Slots]] = {}
    for first, last, (host, port, *_), *_ in ranges:
        primaries.setdefault((text_of(host or b"") or told_by, int(port)), []).append((first, last))
    return Cluster(primaries)


def unless_refused(answer: Callable[[], T]) -> T | None:
    """Return an answer, or None if the server refuses it."""
    try:
        return answer()
    except ResponseError:
        return None


def info_of(line: Line) -> dict[str, str]:
    """Return what INFO says.

    Raises:
        ResponseError: the server does not tell.
    """
    lines = (text_of(each) for each in line.ask("INFO").splitlines())
    return dict(each.split(":", 1) for each in lines if ":" in each)


def is_sentinel(info: Mapping[str, str]) -> bool:
    return "sentinel" in (info.get("redis_mode"), info.get("server_mode"))  # of Redis, and of Valkey


def config_of(line: Line) -> dict[str, str]:
    """Return the settings that matter, those of them that the server has.

    Raises:
        ResponseError: the server refuses to.
    """
    config: dict[str, str] = {}
    for name in SETTINGS:  # one by one, since older servers take no more
        answer = [text_of(each) for each in line.ask("CONFIG", "GET", name)]
        config |= zip(answer[::2], answer[1::2], strict=True)
    return config


def needs_no_password(line: Line) -> bool:
    """Tell whether anybody may be the user `default`.

    Raises:
        ResponseError: the server does not tell.
    """
    answer: list[Any] = line.ask("ACL", "GETUSER", "default")
    flags: list[bytes] = dict(zip(answer[::2], answer[1::2], strict=True))[b"flags"]
    return b"nopass" in flags and b"off" not in flags


def compare_clocks(line: Line, clock: Callable[[], float]) -> tuple[float, float]:
    """Return by how many seconds the server's clock is ahead, and by how many that may be wrong.

    Raises:
        ResponseError: the server does not tell.
    """
    before = clock()
    seconds, microseconds = line.ask("TIME")
    after = clock()
    return int(seconds) + int(microseconds) / 1e6 - (before + after) / 2, (after - before) / 2


def measure(line: Line, key: str) -> list[float]:
    """Return how many seconds round trips take; a refusal is as long as a reply."""
    taken: list[float] = []
    while len(taken) < ROUND_TRIPS and sum(taken) < MEASURED_SECONDS:
        before = time.perf_counter()
        unless_refused(lambda: line.ask("GET", key))
        taken.append(time.perf_counter() - before)
    return taken


def key_in(slots: Sequence[Slots] | None, prefix: str) -> str:
    """Return a key that does not exist: under the prefix, and in one of the slots.

    With a hash tag in the prefix every key may be in another server's slot; then it is any key.
    """
    key = ""
    for _ in range(MOST_KEYS_TRIED):
        key = f"{prefix}check:{secrets.token_hex(16)}"
        slot = key_slot(key.encode())
        if not slots or any(first <= slot <= last for first, last in slots):
            break
    return key
