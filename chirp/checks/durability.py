"""Findings about what is kept: whether changes are accepted, and what a restart or a failover forgets."""

from collections.abc import Iterator

from chirp.checks.facts import Facts, Refusal
from chirp.checks.finding import Finding, Severity, ok

LAG_SECONDS = 10  # as in the usual min-replicas-max-lag

# Why no change is accepted at all: what is so, why it matters, what to do.
NO_WRITES = {
    Refusal.READ_ONLY: (
        "it is a replica, and refuses changes",
        "Sessions can be read here, and not saved: each change gets a 503.",
        "Give the primary's address; with Sentinel, client=lambda: Sentinel([...]).master_for(...)",
    ),
    Refusal.MEMORY: (
        "memory is full, and changes are refused",
        "Each change of a session gets a 503; logouts still work.",
        "CONFIG SET maxmemory to more, or make room; then a shorter max_age, or less in each session",
    ),
    Refusal.SNAPSHOT: (
        "the last save to disk has failed, and with stop-writes-on-bgsave-error yes changes are refused",
        "Each change of a session gets a 503 until a save succeeds.",
        "Look into the server's log; make room on the disk or put the folder's rights in order, then BGSAVE",
    ),
    Refusal.REPLICAS: (
        "fewer replicas are in step than min-replicas-to-write asks for, and changes are refused",
        "Each change of a session gets a 503 until enough replicas are back.",
        "Bring the replicas back, or CONFIG SET min-replicas-to-write to as many as there are",
    ),
    Refusal.CLUSTER_DOWN: (
        "the cluster is down",
        "Each request with a session gets a 503.",
        "redis-cli --cluster check HOST:PORT; cluster-require-full-coverage no keeps what is served in service",
    ),
}


def findings(facts: Facts) -> Iterator[Finding]:
    """Yield what is found of changes, persistence and replication."""
    yield from writes(facts)
    if facts.info:
        yield persistence(facts)
        yield from saving(facts)
        if facts.info.get("role") == "master":
            yield replication(facts)
    if "cluster-require-full-coverage" in facts.config and facts.info.get("cluster_enabled") == "1":
        yield coverage(facts)


def writes(facts: Facts) -> Iterator[Finding]:
    why = facts.refusal("SET")
    if why in NO_WRITES:
        found, reason, remedy = NO_WRITES[why]
        link = facts.info.get("master_link_status")
        broken = "; its link to the primary is down" if link == "down" else ""
        yield Finding("writes", Severity.ERROR, found + broken, reason, remedy)
    elif facts.info.get("role") == "slave":
        yield Finding(
            "writes",
            Severity.ERROR,
            "it is a replica that takes changes (replica-read-only no)",
            "What is saved here reaches no other server, and is gone when the replica next copies its primary.",
            "CONFIG SET replica-read-only yes, and give the primary's address",
        )
    elif why is None and "SET" in facts.trials:
        yield ok("writes", "changes are accepted")


def persistence(facts: Facts) -> Finding:
    save, fsync = facts.config.get("save"), facts.config.get("appendfsync")
    if facts.info.get("aof_enabled") == "1":
        if fsync == "no":
            return Finding(
                "persistence",
                Severity.WARNING,
                "appendonly is yes, with appendfsync no",
                "The system writes when it likes, often after half a minute: a crash of the machine undoes logins and "
                "logouts.",
                "CONFIG SET appendfsync everysec, and the same in the server's configuration",
            )
        return ok("persistence", "appendonly is yes" + (f", with appendfsync {fsync}" if fsync else ""))
    remedy = "CONFIG SET appendonly yes with appendfsync everysec, and the same in the server's configuration"
    if save == "":
        return Finding(
            "persistence",
            Severity.WARNING,
            "nothing is kept on disk: appendonly is no, and save is empty",
            "A restart logs everyone out.",
            remedy,
        )
    snapshots = "snapshots could not be looked at" if save is None else f"there are snapshots alone (save {save})"
    return Finding(
        "persistence",
        Severity.WARNING,
        f"appendonly is no, and {snapshots}",
        "A crash forgets all since the last snapshot: whoever signed in is signed out, and sessions that were ended "
        "are alive again.",
        remedy,
    )


def saving(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the last saves, unless it stops every change, which is an error of its own."""
    states = {
        "rdb_last_bgsave_status": "the last snapshot",
        "aof_last_bgrewrite_status": "the last rewrite of the append-only file",
        "aof_last_write_status": "the last write to the append-only file",
    }
    failed = [words for state, words in states.items() if facts.info.get(state, "ok") != "ok"]
    if failed and facts.refusal("SET") is not Refusal.SNAPSHOT:
        yield Finding(
            "saving",
            Severity.WARNING,
            f"{' and '.join(failed)} failed",
            "A restart would bring back old sessions, or none.",
            "Look into the server's log; make room on the disk or put the folder's rights in order, then BGSAVE or "
            "BGREWRITEAOF",
        )


def replication(facts: Facts) -> Finding:
    number = facts.number("connected_slaves")
    if not number:
        return Finding(
            "replication",
            Severity.NOTE,
            "it has no replica",
            "When its machine is lost, every session is.",
            "A replica, and Sentinel or a cluster to promote it",
        )
    late = sum(not in_step(facts.info.get(f"slave{index}", "")) for index in range(number))
    if late:
        return Finding(
            "replication",
            Severity.WARNING,
            f"{late} of {number} replicas are not in step (limit: {LAG_SECONDS} seconds behind)",
            "A failover to such a replica undoes logins and logouts.",
            "INFO replication says which; look into its log",
        )
    if facts.config.get("min-replicas-to-write") == "0":
        return Finding(
            "replication",
            Severity.WARNING,
            f"it has replicas ({number}), and min-replicas-to-write is 0",
            "A primary that is cut off from them still acknowledges logins and logouts, and the failover undoes them.",
            "CONFIG SET min-replicas-to-write 1, and the same in the server's configuration",
        )
    return ok("replication", f"replicas in step: {number}")


def in_step(replica: str) -> bool:
    """Tell whether a replica is, by its line of INFO, such as `ip=10.0.0.2,port=6379,state=online,offset=42,lag=0`."""
    facts = dict(each.split("=", 1) for each in replica.split(",") if "=" in each)
    return facts.get("state") == "online" and int(facts.get("lag", "0")) <= LAG_SECONDS


def coverage(facts: Facts) -> Finding:
    if facts.config["cluster-require-full-coverage"] == "no":
        return ok("coverage", "cluster-require-full-coverage is no")
    return Finding(
        "coverage",
        Severity.WARNING,
        "cluster-require-full-coverage is yes",
        "One primary that dies takes all sessions out of service until its replica is promoted, and not only its own.",
        "CONFIG SET cluster-require-full-coverage no, and the same in the configuration of every node",
    )
