"""A check as a whole: one server, or every primary of a cluster."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from redis.exceptions import RedisError

from chirp.checks import access, durability, memory, server
from chirp.checks.facts import Facts, Place, Slots
from chirp.checks.finding import Finding, Severity
from chirp.checks.gathering import cluster_of, gather, info_of, is_sentinel, unless_refused
from chirp.checks.line import ANSWER_SECONDS, Target, target_of
from chirp.redis_url import address_of, host_and_port, not_reached, within

LONGEST_SECONDS = 120.0

SENTINEL = Finding(
    "kind",
    Severity.ERROR,
    "it is a Sentinel",
    "It knows where the server is, and keeps no sessions.",
    "Give the primary's address here: SENTINEL GET-MASTER-ADDR-BY-NAME mymaster tells it; the store is given "
    "client=lambda: Sentinel([...]).master_for(...)",
)


def examine(redis_url: str, prefix: str, *, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Look at a live server; nothing is changed on it.

    Args:
        redis_url: the server; of a cluster, any node.
        prefix: with which the store's keys begin.
        clock: returns Unix seconds.

    Returns:
        Findings, worst first; those that are as they should be are among them.

    Raises:
        ConfigurationError: not a usable URL.
        StoreUnavailable: the server could not be asked.
    """
    address, target = address_of(redis_url), target_of(redis_url)
    try:
        found = within(LONGEST_SECONDS, lambda: list(look(target, address, prefix, clock)))
    except Exception as error:  # noqa: BLE001 - a defect is raised again
        seconds = LONGEST_SECONDS if isinstance(error, TimeoutError) else ANSWER_SECONDS
        raise not_reached(error, address, seconds) from None
    return sorted(found, key=lambda finding: finding.severity.rank)


def look(target: Target, address: str, prefix: str, clock: Callable[[], float]) -> Iterator[Finding]:
    """Yield the findings of every server."""
    with target.line() as line:
        info = unless_refused(lambda: info_of(line)) or {}
        if is_sentinel(info):
            yield replace(SENTINEL, node=address)
            return
        cluster = cluster_of(line, str(target.settings.get("host", "localhost")), info)
        yield from at(address if cluster is None else "", server.of_all(cluster))
        if cluster is None or cluster.primaries is None:
            slots = None if cluster is None else ()
            yield from of_one(gather(line, address, prefix, database=target.database, slots=slots, clock=clock))
            return
    for place, ranges in cluster.primaries.items():
        yield from of_primary(target, place, ranges, prefix, clock)


def of_primary(
    target: Target, place: Place, slots: Sequence[Slots], prefix: str, clock: Callable[[], float]
) -> Iterator[Finding]:
    address = host_and_port(*place)
    try:
        with target.line(place) as line:
            facts = gather(line, address, prefix, database=target.database, slots=slots, clock=clock)
    except (RedisError, OSError) as error:
        yield Finding(
            "reachable",
            Severity.ERROR,
            str(not_reached(error, address, ANSWER_SECONDS)),
            "Requests whose session is kept there get a 503.",
            "Bring the node back; where it announces an address that is not reached from here, "
            "cluster-announce-ip or address_remap= helps",
            address,
        )
    else:
        yield from of_one(facts)


def of_one(facts: Facts) -> Iterator[Finding]:
    for look_at in (server, memory, durability, access):
        yield from at(facts.address, look_at.findings(facts))


def at(address: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    return (replace(finding, node=address) for finding in findings)
