"""Findings about memory: what happens when it is full, how full it is, and who else fills it."""

from collections.abc import Iterator

from chirp.checks.facts import Facts, Refusal
from chirp.checks.finding import Finding, Severity, ok

FULL = 0.9  # of maxmemory


def findings(facts: Facts) -> Iterator[Finding]:
    """Yield what is found of memory."""
    if facts.info:
        yield eviction(facts)
        yield from fullness(facts)
    yield from others(facts)


def evicts(facts: Facts) -> bool:
    return facts.info.get("maxmemory_policy", "noeviction") != "noeviction" and facts.number("maxmemory") > 0


def eviction(facts: Facts) -> Finding:
    policy, limit = facts.info.get("maxmemory_policy", "noeviction"), facts.number("maxmemory")
    if evicts(facts):
        evicted = facts.number("evicted_keys")
        so_far = f"; {evicted:,} keys have been evicted since the start" if evicted else ""
        return Finding(
            "eviction",
            Severity.ERROR,
            f"maxmemory-policy is {policy}, with maxmemory at {megabytes(limit)}{so_far}",
            "When memory is full, the server deletes sessions, which signs people out, and tombstones of sessions that "
            "were ended, without which a request in flight may bring those back.",
            "CONFIG SET maxmemory-policy noeviction, and the same in the server's configuration; what needs eviction "
            "gets a server of its own",
        )
    if limit == 0:
        later = "" if policy == "noeviction" else f"; maxmemory-policy is {policy}, which evicts once there is a limit"
        return Finding(
            "eviction",
            Severity.NOTE,
            f"maxmemory is 0, so there is no limit{later}",
            "When the machine's memory is full, the operating system ends the server; at a limit, the server refuses "
            "changes, and logouts still work.",
            "CONFIG SET maxmemory to about 80 % of the memory there is, and maxmemory-policy noeviction",
        )
    return ok("eviction", f"maxmemory-policy is {policy}, with maxmemory at {megabytes(limit)}")


def fullness(facts: Facts) -> Iterator[Finding]:
    limit, used = facts.number("maxmemory"), facts.number("used_memory")
    if limit == 0:
        yield ok("memory", f"{megabytes(used)} in use")
        return
    found = f"{megabytes(used)} of {megabytes(limit)} in use, {used / limit:.0%}"
    if facts.refusal("SET") is Refusal.MEMORY:
        return  # an error of its own
    if used >= limit * FULL:
        yield Finding(
            "memory",
            Severity.WARNING,
            f"{found} (limit: {FULL:.0%})",
            "When memory is full, changes of sessions get a 503.",
            "CONFIG SET maxmemory to more, a shorter max_age, or less in each session",
        )
    else:
        yield ok("memory", found)


def others(facts: Facts) -> Iterator[Finding]:
    if facts.sampled is None:
        return
    total = facts.sampled if facts.keys is None else facts.keys
    if not facts.foreign:
        yield ok("keys", f"{total:,}; of {facts.sampled:,} looked at, all begin with {facts.prefix}")
    else:
        yield Finding(
            "keys",
            Severity.WARNING if evicts(facts) else Severity.NOTE,
            f"{total:,}; of {facts.sampled:,} looked at, {facts.foreign:,} do not begin with {facts.prefix}",
            "What other programs store fills the same memory, their FLUSHDB takes sessions with it, and whoever may "
            "write all keys can write sessions.",
            "Give sessions a server of their own, or other programs users that cannot reach these keys",
        )


def megabytes(number: int) -> str:
    return f"{number / 2**20:,.1f} MB"  # as in the server's configuration, where 1mb is so many bytes
