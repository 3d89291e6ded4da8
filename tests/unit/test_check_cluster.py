"""`chirp check` on a cluster: every primary is looked at, whichever node is asked."""

from collections.abc import Iterator

import pytest
from check_kit import ERROR, PREFIX, WARNING, bad, findings, only
from redis.crc import key_slot
from servers import running_cluster, version_at

from benchmarks.cluster import RunningCluster
from chirp.checks.examine import examine
from chirp.checks.finding import Severity

GOOD = {
    "maxmemory": "100mb",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "cluster-require-full-coverage": "no",
}


@pytest.fixture(scope="module")
def started() -> Iterator[RunningCluster]:
    with running_cluster(3) as running:
        yield running


@pytest.fixture
def cluster(started: RunningCluster) -> RunningCluster:
    """Three primaries, set up as they should be."""
    started.configure(GOOD)
    return started


@pytest.fixture
def since_redis_7(started: RunningCluster) -> None:
    """For what Redis 6.2 cannot be told to do: it has neither rights of subcommands nor kinds of endpoints."""
    if version_at(started.nodes[0].url).startswith("Redis 6."):
        pytest.skip("needs Redis 7.0 or newer")


def test_a_good_cluster_has_no_finding(cluster: RunningCluster) -> None:
    """But that an app needs a client that knows clusters, and that there are no replicas."""
    found = findings(cluster.nodes[2].url)
    assert bad(found) == []
    assert {each.node for each in found if each.check == "writes"} == {
        f"127.0.0.1:{each.port}" for each in cluster.nodes
    }
    assert "RedisCluster" in only(found, "kind").remedy


def test_a_misconfiguration_of_one_node_names_it(cluster: RunningCluster) -> None:
    """Also where another one was asked."""
    cluster.nodes[1].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    found = findings(cluster.nodes[0].url)
    assert bad(found) == [("eviction", ERROR)]
    assert [each.node for each in found if each.severity is ERROR] == [f"127.0.0.1:{cluster.nodes[1].port}"]


def test_full_coverage_is_found(cluster: RunningCluster) -> None:
    """On every node that asks for it."""
    cluster.configure({"cluster-require-full-coverage": "yes"})
    assert bad(findings(cluster.nodes[0].url)) == [("coverage", WARNING)] * 3


def test_memory_is_full_is_found_behind_its_node(cluster: RunningCluster) -> None:
    """The key that is tried belongs to the node that is looked at, so that it does not only point elsewhere."""
    cluster.nodes[1].command("CONFIG", "SET", "maxmemory", "1")
    assert bad(findings(cluster.nodes[0].url)) == [("writes", ERROR)]


@pytest.mark.usefixtures("since_redis_7")
def test_nodes_that_leave_their_host_out_are_found(cluster: RunningCluster) -> None:
    """They mean the one that was asked."""
    cluster.configure({"cluster-preferred-endpoint-type": "unknown-endpoint"})
    found = findings(cluster.nodes[0].url)
    cluster.configure({"cluster-preferred-endpoint-type": "ip"})
    assert len([each for each in found if each.check == "writes"]) == 3


def test_a_prefix_with_a_hash_tag_is_looked_at(cluster: RunningCluster) -> None:
    """All its keys are on one node, where a change is tried; the others are looked at all the same."""
    found = examine(cluster.nodes[0].url, "{shop}:")
    assert [each.node for each in found if each.check == "writes"] == [f"127.0.0.1:{cluster.owner('{shop}:').port}"]
    assert len({each.node for each in found if each.check == "persistence"}) == 3


def test_a_slot_that_nobody_serves_is_found(cluster: RunningCluster) -> None:
    """With the number of them."""
    node, slot = cluster.owner(PREFIX), key_slot(PREFIX.encode())
    node.command("CLUSTER", "DELSLOTS", slot)
    found = findings(node.url)
    node.command("CLUSTER", "ADDSLOTS", slot)
    assert bad(found) == [("slots", ERROR)]
    assert only(found, "slots").found == "1 of 16,384 slots are served by no node"


def test_a_primary_that_is_gone_is_found() -> None:
    """The others are looked at all the same."""
    with running_cluster(3) as cluster:
        cluster.configure(GOOD)
        cluster.nodes[1].kill()
        found = findings(cluster.nodes[0].url)
    assert bad(found) == [("reachable", ERROR)]
    assert f"Redis at 127.0.0.1:{cluster.nodes[1].port} does not answer" in only(found, "reachable").found
    assert len([each for each in found if each.check == "version"]) == 2


def test_a_database_of_a_cluster_is_found(cluster: RunningCluster) -> None:
    """There is only the first."""
    assert bad(findings(cluster.nodes[0].url.removesuffix("0") + "1")) == [("commands", ERROR)] * 3


@pytest.mark.usefixtures("since_redis_7")
@pytest.mark.parametrize("command", ["cluster|slots", "asking"])
def test_what_a_cluster_needs_besides_is_tried(cluster: RunningCluster, command: str) -> None:
    """Without a right to ask for the topology, the node that is known is looked at."""
    for node in cluster.nodes:
        node.command("ACL", "SETUSER", "app", "on", ">password", f"~{PREFIX}*", "+@all", f"-{command}")
    found = findings(cluster.nodes[0].url.replace("redis://", "redis://app:password@"))
    missing = [each for each in found if each.severity is Severity.ERROR]
    assert {each.found for each in missing} == {f"the user may not call {command.upper().replace('|', ' ')}"}
