"""docs/how-to/sentinel.md is executed: its program reaches the primary that sentinels name."""

from collections.abc import Iterator

import pytest
from page_kit import app_with, visits
from programs import Document
from redis import Redis
from servers import program_on_path

from benchmarks.sentinel import Watched, watched

PAGE = Document("docs/how-to/sentinel.md")


@pytest.fixture
def sentinels() -> Iterator[Watched]:
    """Sentinels that watch a primary and its replica."""
    with watched(binary=program_on_path()) as started:
        yield started


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_sentinel_program(sentinels: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the sentinels where the primary is."""
    monkeypatch.setenv("REDIS_SENTINELS", ",".join(f"{host}:{port}" for host, port in sentinels.addresses))
    assert visits(app_with(PAGE.run("sentinel"))) == [2] * 10
    with Redis.from_url(sentinels.primary().url) as client:
        assert len(client.keys("chirp:session:*")) == 10
