"""The figures of docs/explanation/scaling.md."""

import inspect
from dataclasses import replace
from typing import Any

from benchmarks import lookup
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.chirp_store import ChirpStore
from benchmarks.documents import capacity
from benchmarks.documents.capacity import Assumptions, Load, Measured
from benchmarks.documents.markdown import gigabytes, rounded, table
from benchmarks.targets import Results
from chirp.middleware.sessions import RedisSessionStore

ASSUMED = Assumptions()
MILLION = 1_000_000
SESSIONS = (MILLION, 10 * MILLION, 1000 * MILLION)
RATES = (1000, 10_000, 100_000, MILLION)
ACTIVE = (10_000, 100_000, MILLION, 10 * MILLION)
INTERVALS = (300, 60, 10)
PAYLOAD = 250  # bytes, the session that every throughput was measured with
HTTP_CONNECTIONS = 64
TASKS = 100
ENDED = 1000  # sessions in a second, for the example of tombstones


def measured(results: Results) -> Measured:
    """Take what the page computes with from the files."""
    http, store = dict(results["http"]), results["micro"]["scenarios"]["store"]

    def of_worker(action: str) -> float:
        return lookup.median(http, AsgiChirp.name, action, "requests_per_second", connections=HTTP_CONNECTIONS)

    def of_node(action: str) -> float:
        return lookup.median(store, ChirpStore.name, action, "operations_per_second", tasks=TASKS)

    row = _stored(results, PAYLOAD)
    return Measured(
        of_worker("read"), of_worker("change"), of_node("read"), of_node("change"), row["key_bytes"], row["value_bytes"]
    )


def on_cluster(results: Results, found: Measured) -> Measured:
    """Return the same with what a node of a cluster has answered, where each key takes a command of its own."""
    nodes = results["scale"]["scenarios"]["nodes"]
    reads, changes = (
        lookup.median(nodes, ChirpStore.name, action, "operations_per_second", nodes=1) for action in ("read", "change")
    )
    return replace(found, node_reads=reads, node_changes=changes)


def _stored(results: Results, payload_bytes: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = results["memory"]["stored"]["sessions"]
    for row in found:
        if row["payload_bytes"] == payload_bytes:
            return row
    raise LookupError(f"no session of {payload_bytes} bytes was stored")


def _inputs(results: Results) -> str:
    found = measured(results)
    clustered = on_cluster(results, found)
    rows = [
        [
            f"Redis memory of a session of {row['payload_bytes']:,} bytes",
            f"{rounded(row['used_bytes'])} bytes",
            "memory",
        ]
        for row in sorted(results["memory"]["stored"]["sessions"], key=lambda row: row["payload_bytes"])
    ]
    ended = results["memory"]["stored"]["tombstones"]["used_bytes"]
    http = f"http, {HTTP_CONNECTIONS} connections"
    micro = f"micro, {TASKS} tasks"
    rows += [
        ["Redis memory of a tombstone", f"{rounded(ended)} bytes", "memory"],
        [
            f"key, and document of a session of {PAYLOAD} bytes",
            f"{found.key_bytes:,} and {found.value_bytes:,} bytes",
            "memory",
        ],
        ["one worker, requests that read", f"{rounded(found.worker_reads)}/s", http],
        ["one worker, requests that change", f"{rounded(found.worker_changes)}/s", http],
        ["loads that one node has answered", f"{rounded(found.node_reads)}/s", micro],
        ["loads and saves that one node has answered", f"{rounded(found.node_changes)}/s", micro],
        ["loads that a cluster of one node has answered", f"{rounded(clustered.node_reads)}/s", "scale"],
        ["loads and saves that a cluster of one node has answered", f"{rounded(clustered.node_changes)}/s", "scale"],
    ]
    return table(["measured", "", "file"], rows, text=1)


def _assumptions(_: Results) -> str:
    rows = [
        ["headroom: memory of a node for each byte of sessions", f"{ASSUMED.headroom:g}"],
        ["copies of each session (one primary, the rest replicas)", f"{ASSUMED.copies}"],
        ["memory of one node", gigabytes(ASSUMED.node_bytes)],
        ["how busy a core, a node or a link is planned to be", f"{ASSUMED.busy:.0%}"],
        ["requests that change their session", f"{ASSUMED.changing:.0%}"],
        ["time between two requests of one browser", f"{ASSUMED.seconds_between:g} s"],
        ["touch interval (the default of a window of 100 minutes or more)", f"{ASSUMED.touch_interval:g} s"],
        ["rotation grace (the default)", f"{ASSUMED.grace:g} s"],
        ["network of one node, in each direction", f"{ASSUMED.link_bits / 1e9:g} Gbit/s"],
        ["protocol around each key and each value", f"{ASSUMED.wire_bytes:g} bytes"],
    ]
    return table(["assumed", ""], rows)


def _memory(results: Results) -> str:
    """Make a table of memory and primaries over the sessions, for each size that was stored."""
    rows = []
    for row in sorted(results["memory"]["stored"]["sessions"], key=lambda row: row["payload_bytes"]):
        each = row["used_bytes"]
        for sessions in SESSIONS:
            needed = capacity.node_memory(sessions, each, ASSUMED.headroom)
            primaries = capacity.whole(needed, ASSUMED.node_bytes)
            rows.append(
                [
                    f"{row['payload_bytes']:,}",
                    f"{sessions // MILLION:,} million",
                    gigabytes(sessions * each),
                    gigabytes(needed),
                    gigabytes(needed * ASSUMED.copies),
                    f"{primaries:,}",
                    f"{primaries * ASSUMED.copies:,}",
                ]
            )
    head = ["bytes of a session", "sessions", "stored", "with headroom", "with replicas", "primaries", "nodes in all"]
    return table(head, rows, text=0)


def _requests(results: Results) -> str:
    """Make a table of workers, connections, commands, network and primaries over the requests in a second."""
    found = measured(results)
    scenario = results["scale"]["scenarios"]["concurrency"]
    each = max(
        lookup.median(scenario, AsgiChirp.name, action, "most_connections", tasks=TASKS)
        for action in ("read", "change")
    )
    clustered = on_cluster(results, found)
    most = inspect.signature(RedisSessionStore).parameters["max_connections"].default
    rows = []
    for rate in RATES:
        load = capacity.load_of(rate, ASSUMED)
        workers = capacity.whole(capacity.worker_share(load, found), ASSUMED.busy)
        rows.append(
            [
                f"{rate:,}",
                f"{workers:,}",
                f"{workers * each:,} / {workers * most:,}",
                f"{rounded(load.reads + load.writes)} + {rounded(load.writes)}",
                f"{rounded(100 * capacity.node_share(load, found))} %",
                _gigabits(capacity.bits_from_redis(load, found, ASSUMED)),
                _gigabits(capacity.bits_to_redis(load, found, ASSUMED)),
                f"{rounded(100 * capacity.link_share(load, found, ASSUMED))} %",
                f"{primaries(load, found, clustered):,}",
            ]
        )
    head = [
        "requests/s",
        "workers (cores)",
        "connections, as seen / at most",
        "loads/s + writes/s",
        "of one node's commands",
        "Gbit/s from Redis",
        "Gbit/s to Redis",
        "of one link",
        "primaries",
    ]
    return table(head, rows, text=0)


def primaries(load: Load, found: Measured, clustered: Measured) -> int:
    """Return how many primaries serve the load; more than one are a cluster, and have its figures."""
    alone = capacity.primaries(load, found, ASSUMED)
    return alone if alone == 1 else max(alone, capacity.primaries(load, clustered, ASSUMED))


def _gigabits(bits: float) -> str:
    return rounded(bits / 1e9)


def _next(results: Results) -> str:
    """Say which limit comes when, as far as that follows from the figures."""
    found = measured(results)
    one = capacity.load_of(1, ASSUMED)
    worker_at = ASSUMED.busy / capacity.worker_share(one, found)
    node_at = ASSUMED.busy / capacity.node_share(one, found)
    link_at = ASSUMED.busy / capacity.link_share(one, found, ASSUMED)
    fills = capacity.document_that_fills_the_link(found, ASSUMED)
    rows = [
        ["one worker's core", f"every {rounded(worker_at)} requests/s", "another worker"],
        ["one node's commands", f"{rounded(node_at)} requests/s", "another primary"],
        [f"one node's network, sessions of {PAYLOAD} bytes", f"{rounded(link_at)} requests/s", "another primary"],
        [
            "one node's network before its commands",
            f"documents of more than {rounded(fills)} bytes",
            "smaller sessions",
        ],
    ]
    return table(["limit", "reached at", "remedy"], rows, text=1)


def _touches(results: Results) -> str:
    """Make a table of the writes/s of touches over the active sessions and the interval."""
    found = measured(results)
    rows = []
    for active in ACTIVE:
        cells = []
        for interval in INTERVALS:
            writes = capacity.touches(active, interval)
            cells.append(f"{rounded(writes)} ({rounded(100 * writes / found.node_changes)} %)")
        rows.append([f"{active:,}", *cells])
    return table(["sessions active", *(f"touch interval {interval} s" for interval in INTERVALS)], rows)


def _tombstones(results: Results) -> str:
    each = results["memory"]["stored"]["tombstones"]["used_bytes"]
    size = capacity.tombstone_memory(ENDED, each, ASSUMED.grace)
    return (
        f"{ENDED:,} ends a second, a grace of {ASSUMED.grace:g} s and {rounded(each)} bytes each keep "
        f"{rounded(size / 1e6)} MB of tombstones."
    )


PARTS = {
    "inputs": _inputs,
    "assumptions": _assumptions,
    "memory": _memory,
    "requests": _requests,
    "next": _next,
    "touches": _touches,
    "tombstones": _tombstones,
}
