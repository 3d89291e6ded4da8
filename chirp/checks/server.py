"""Findings about the server itself: its version, how fast it answers, its clock, and what it did not tell."""

from collections.abc import Iterator
from statistics import median

from chirp.checks.facts import Cluster, Facts
from chirp.checks.finding import Finding, Severity, ok
from chirp.embedded import name_and_version

SLOTS = 16384  # of every cluster
OLDEST_REDIS = (6, 2)
OLDEST_VALKEY = (8, 0)
MEDIAN_SECONDS = 0.010
WORST_SECONDS = 0.5
CLOCK_SECONDS = 2.0

# By question: what stays unknown without an answer, and what an ACL has for it.
QUESTIONS = {
    "INFO": ("version, memory, persistence and replication", "+info"),
    "CONFIG GET": ("settings of persistence, replication and the network", "+config|get"),
    "TIME": ("the clock", "+time"),
    "ACL GETUSER": ("whether the user default needs a password", "+acl|getuser"),
}


def findings(facts: Facts) -> Iterator[Finding]:
    """Yield what is found of the server itself."""
    yield from version(facts)
    yield latency(facts)
    yield from clock(facts)
    yield from not_told(facts)


def version(facts: Facts) -> Iterator[Finding]:
    name = name_and_version(facts.info)
    if not name:
        return
    product, number = name.split(" ", 1)
    numbers = tuple(int(part) for part in number.split(".")[:2] if part.isdigit())
    if product == "Redis" and numbers < OLDEST_REDIS:
        yield Finding(
            "version",
            Severity.ERROR,
            f"{name} is too old",
            "Sessions are tried with Redis 6.2 and later.",
            "Upgrade to Redis 6.2 or later, or to Valkey 8 or later",
        )
    elif product == "Valkey" and numbers < OLDEST_VALKEY:
        yield Finding(
            "version",
            Severity.WARNING,
            f"{name} is older than what sessions are tried with",
            "Sessions are tried with Valkey 8 and later.",
            "Upgrade to Valkey 8 or later",
        )
    else:
        yield ok("version", name)


def latency(facts: Facts) -> Finding:
    middle, worst = median(facts.round_trips), max(facts.round_trips)
    found = f"{len(facts.round_trips)} round trips: median {middle * 1000:.2f} ms, worst {worst * 1000:.1f} ms"
    if middle <= MEDIAN_SECONDS and worst <= WORST_SECONDS:
        return ok("latency", found)
    limits = f"limits: {MEDIAN_SECONDS * 1000:g} ms and {WORST_SECONDS * 1000:g} ms"
    return Finding(
        "latency",
        Severity.WARNING,
        f"{found} ({limits})",
        "Each request with a session waits for a round trip, and one that changes it for two.",
        "Run app and server in one network; look for slow commands with SLOWLOG GET 10 and LATENCY DOCTOR",
    )


def clock(facts: Facts) -> Iterator[Finding]:
    if facts.clock_ahead is None:
        return
    off = abs(facts.clock_ahead)
    which = "ahead of" if facts.clock_ahead > 0 else "behind"
    if off - facts.clock_doubt > CLOCK_SECONDS:
        yield Finding(
            "clock",
            Severity.WARNING,
            f"the server's clock is {off:.1f} seconds {which} this machine's (limit: {CLOCK_SECONDS:g} seconds)",
            "Idle and absolute timeouts are reckoned with the clocks of the app's machines, so these must agree.",
            "Keep both in step with NTP, as with: timedatectl set-ntp true",
        )
    else:
        yield ok("clock", f"{off * 1000:.0f} ms {which} this machine's")


def not_told(facts: Facts) -> Iterator[Finding]:
    """Say in one finding what could not be looked at."""
    if facts.not_told:
        unknown = "; ".join(QUESTIONS[question][0] for question in facts.not_told)
        rules = " ".join(QUESTIONS[question][1] for question in facts.not_told)
        yield Finding(
            "not-looked-at",
            Severity.NOTE,
            f"the server refuses to answer {', '.join(facts.not_told)}",
            f"Not looked at: {unknown}.",
            f"Run this as an administrator, or as a user with: {rules}",
        )


def of_all(cluster: Cluster | None) -> Iterator[Finding]:
    """Yield what is found of all servers together."""
    if cluster is None:
        yield ok("kind", "one server: redis_url is what the store needs")
        return
    number = "" if cluster.primaries is None else f" with {len(cluster.primaries)} primaries"
    yield Finding(
        "kind",
        Severity.NOTE,
        f"a cluster{number}",
        "A store that is given redis_url asks one node alone, and is refused the keys of the others.",
        "RedisSessionStore(config, client=lambda: RedisCluster(...))",
    )
    if cluster.primaries is None:
        return
    if cluster.served < SLOTS:
        yield Finding(
            "slots",
            Severity.ERROR,
            f"{SLOTS - cluster.served:,} of {SLOTS:,} slots are served by no node",
            "Requests whose session belongs there get a 503; with cluster-require-full-coverage yes, all do.",
            "redis-cli --cluster fix HOST:PORT",
        )
    else:
        yield ok("slots", f"all {SLOTS:,} are served")
