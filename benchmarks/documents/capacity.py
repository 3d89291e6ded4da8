"""How much of everything a number of sessions and of requests needs. Arithmetic on what is given, and nothing else."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What nobody has measured here. The page shows each of them.

    Attributes:
        headroom: memory of a node for each byte of sessions: fragmentation, and pages copied while a snapshot is made.
        copies: of every session: its primary and a replica.
        node_bytes: memory of one Redis node.
        busy: share of a core, of a node or of a link that is planned for; the rest is for peaks.
        changing: share of the requests that change their session.
        seconds_between: two requests of one browser.
        touch_interval: seconds; one browser's `last_seen_at` is written at most so often.
        grace: seconds for which an ended session leaves a tombstone.
        link_bits: that one node's network carries in a second, in each direction.
        wire_bytes: of protocol around each key and value.
    """

    headroom: float = 1.5
    copies: int = 2
    node_bytes: float = 25e9
    busy: float = 0.7
    changing: float = 0.1
    seconds_between: float = 10.0
    touch_interval: float = 300.0
    grace: float = 30.0
    link_bits: float = 10e9
    wire_bytes: float = 10.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What the files of the last full runs say.

    Attributes:
        worker_reads: requests/s that read, of one worker.
        worker_changes: requests/s that change, of one worker.
        node_reads: loads/s that one node has answered.
        node_changes: loads and saves per second that one node has answered.
        key_bytes: of one key.
        value_bytes: of one stored document.
    """

    worker_reads: float
    worker_changes: float
    node_reads: float
    node_changes: float
    key_bytes: float
    value_bytes: float


@dataclass(frozen=True, slots=True)
class Load:
    """Requests in a second: those that only read, and those that write, touches included."""

    reads: float
    writes: float


def node_memory(sessions: float, bytes_each: float, headroom: float) -> float:
    """Return the bytes that all primaries together need."""
    return sessions * bytes_each * headroom


def whole(needed: float, one: float) -> int:
    """Return how many of a kind are needed when one has so much; never none."""
    return max(1, math.ceil(needed / one))


def load_of(requests: float, assumed: Assumptions) -> Load:
    """Split requests/s. A touch turns a request that reads into one that writes; one that changes may take it along."""
    writes = min(
        requests, requests * assumed.changing + touches(requests * assumed.seconds_between, assumed.touch_interval)
    )
    return Load(requests - writes, writes)


def touches(active_sessions: float, interval: float) -> float:
    """Return the writes/s that keep active sessions alive: one for each session and interval of so many seconds."""
    return active_sessions / interval


def worker_share(load: Load, measured: Measured) -> float:
    """Return how many workers, of one core each, the load would keep as busy as one was when it was measured."""
    return load.reads / measured.worker_reads + load.writes / measured.worker_changes


def node_share(load: Load, measured: Measured) -> float:
    """Return how many nodes the load's commands would keep as busy as one node has been seen to be."""
    return load.reads / measured.node_reads + load.writes / measured.node_changes


def bits_from_redis(load: Load, measured: Measured, assumed: Assumptions) -> float:
    """Return the bits/s of the documents that are loaded."""
    return 8 * (load.reads + load.writes) * (measured.value_bytes + assumed.wire_bytes)


def bits_to_redis(load: Load, measured: Measured, assumed: Assumptions) -> float:
    """Return the bits/s of the keys that are asked for, and of writes: key, expected document and new one."""
    key, value = measured.key_bytes + assumed.wire_bytes, measured.value_bytes + assumed.wire_bytes
    return 8 * ((load.reads + load.writes) * key + load.writes * (key + 2 * value))


def link_share(load: Load, measured: Measured, assumed: Assumptions) -> float:
    """Return how many links the busier direction would fill."""
    return max(bits_from_redis(load, measured, assumed), bits_to_redis(load, measured, assumed)) / assumed.link_bits


def primaries(load: Load, measured: Measured, assumed: Assumptions) -> int:
    """Return how many primaries serve the load, whether commands or bytes are the limit."""
    return whole(max(node_share(load, measured), link_share(load, measured, assumed)), assumed.busy)


def document_that_fills_the_link(measured: Measured, assumed: Assumptions) -> float:
    """Return the bytes of a document at which loads fill a node's network before they keep the node busy."""
    return assumed.link_bits / 8 / measured.node_reads - assumed.wire_bytes


def tombstone_memory(ended: float, bytes_each: float, grace: float) -> float:
    """Return the bytes of the tombstones that stand at once, when so many sessions end in a second."""
    return ended * grace * bytes_each
