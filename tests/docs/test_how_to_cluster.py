"""docs/how-to/cluster.md is executed: its program reaches all nodes of a cluster."""

import pytest
from page_kit import app_with, visits
from programs import Document

from benchmarks.cluster import RunningCluster

PAGE = Document("docs/how-to/cluster.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_cluster_program(redis_cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the whole cluster from two of its nodes."""
    monkeypatch.setenv("REDIS_NODES", ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes[:2]))
    assert visits(app_with(PAGE.run("cluster"))) == [2] * 10
