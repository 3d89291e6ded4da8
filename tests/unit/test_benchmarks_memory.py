"""`benchmarks.memory` serves what it says, counts what Redis has, and takes its keys away again."""

import json
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
STORED = {"keys", "key_bytes", "value_bytes", "memory_usage_bytes", "used_bytes", "dataset_bytes"}


@pytest.fixture(scope="module")
def memory() -> Iterator[SimpleNamespace]:
    """The modules of `benchmarks.memory`, which nobody installs; at the path's end: the chirp under test stays."""
    names = ("benchmark", "settings", "stored", "visits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        modules = {name: import_module(f"benchmarks.memory.{name}") for name in names}
        wrong = import_module("benchmarks.contenders.contender").WrongSessionError
        yield SimpleNamespace(WrongSessionError=wrong, **modules)


@pytest.fixture(scope="module")
async def results(memory: SimpleNamespace, redis_url: str) -> dict[str, Any]:
    """What a tiny run gives."""
    settings = memory.settings.Settings(
        rounds=2,
        requests=400,
        first=100,
        every=100,
        tasks=10,
        browsers=20,
        sessions=((250, 300), (1000, 200)),
        tombstones=200,
    )
    steps: list[None] = []
    found: dict[str, Any] = await memory.benchmark.run(settings, redis_url, lambda: steps.append(None))
    assert len(steps) == memory.benchmark.steps(settings) == 15
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


@pytest.fixture
async def visits(memory: SimpleNamespace, redis_url: str, key_prefix: str) -> AsyncIterator[Any]:
    """Browsers that write down what they ask for."""

    class Noting(memory.visits.Visits):  # type: ignore[misc,name-defined]
        wrong_from = 1_000_000

        def __init__(self) -> None:
            super().__init__(redis_url, key_prefix)
            self.asked: Counter[str] = Counter()

        async def _get(self, path: str, task: int, query: bytes = b"") -> bytes:
            self.asked[path] += 1
            body: bytes = await super()._get(path, task, query)
            return b"" if self.asked.total() >= self.wrong_from else body

    noting = Noting()
    yield noting
    await noting.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the memory of a process a file")
async def test_samples_are_of_every_process(results: dict[str, Any]) -> None:
    """The memory is there for each step, and the objects for the first and the last one."""
    assert [one["round"] for one in results["requests"]["rounds"]] == [1, 2]
    for one in results["requests"]["rounds"]:
        assert [sample["requests"] for sample in one["samples"]] == [100, 200, 300, 400]
        assert all(sample["resident_bytes"] > 2**20 for sample in one["samples"])
        assert [sample["requests"] for sample in one["samples"] if "objects" in sample] == [100, 400]


@pytest.mark.skipif(sys.platform != "linux", reason="only there is the memory of a process a file")
async def test_growth_is_the_last_sample_divided_by_the_first(results: dict[str, Any]) -> None:
    """The ratio can be computed again from the samples."""
    resident, _ = results["requests"]["ratios"]
    assert resident["name"] == "resident_bytes after 400 / 100 requests"
    samples = [one["samples"] for one in results["requests"]["rounds"]]
    again = sorted(one[-1]["resident_bytes"] / one[0]["resident_bytes"] for one in samples)
    assert [resident["least"], resident["most"]] == pytest.approx(again, rel=1e-3)


async def test_stored_sessions_are_counted_by_the_server(results: dict[str, Any]) -> None:
    """One key for each session; a larger session takes more, and a tombstone takes less."""
    first, second = results["stored"]["sessions"]
    ended = results["stored"]["tombstones"]
    assert set(first) == {"payload_bytes", "sessions", "resident_bytes"} | STORED
    assert set(second) == {"payload_bytes", "sessions"} | STORED
    assert set(ended) == {"tombstones"} | STORED
    assert (first["payload_bytes"], first["sessions"], second["sessions"], ended["tombstones"]) == (250, 300, 200, 200)
    assert [row["keys"] for row in (first, second, ended)] == [2, 2, 1]  # each session has a user, and that an index
    for row in (first, second, ended):
        assert row["memory_usage_bytes"] > row["key_bytes"] + row["value_bytes"]
    assert 250 < first["value_bytes"] < 1000 < second["value_bytes"]
    assert ended["value_bytes"] < first["value_bytes"] - 250


async def test_results_name_no_host_and_no_path(results: dict[str, Any]) -> None:
    """A committed file tells nothing about whose machine it was."""
    text = json.dumps(results)
    assert str(ROOT) not in text
    assert "://" not in text


async def test_nothing_is_left_on_the_server(results: dict[str, Any], redis_client: Any) -> None:
    """A run deletes its keys."""
    for match in ("chirp-benchmark:*", "bench????????:*"):
        assert [key async for key in redis_client.scan_iter(match=match)] == []


async def test_other_keys_stay(memory: SimpleNamespace, redis_url: str, redis_client: Any, key_prefix: str) -> None:
    """Only what a run has stored is deleted."""
    await redis_client.set(f"{key_prefix}other", b"stays")
    stored = memory.stored.Stored(redis_url, f"{key_prefix}own:", 10, lambda: None)
    await stored.sessions(250, 20)
    await stored.close()
    assert [key async for key in redis_client.scan_iter(match=f"{key_prefix}*")] == [f"{key_prefix}other".encode()]


async def test_browsers_log_in_read_change_and_log_out(memory: SimpleNamespace, visits: Any) -> None:
    """In twenty requests a browser reads most often, changes, logs out, and logs in once before each logout."""
    visits.expect_browsers(10)
    await memory.visits.serve(visits, tasks=5, browsers=10, requests=400)
    asked = visits.asked
    assert asked.total() == 400
    assert asked["/logout"] == 20
    assert 20 <= asked["/begin"] <= 30  # some are still logged in at the end
    assert asked["/read"] > asked["/change"] > asked["/begin"]


async def test_wrong_answer_ends_the_visits(memory: SimpleNamespace, visits: Any) -> None:
    """Memory of an app that does something else is not measured."""
    visits.expect_browsers(10)
    visits.wrong_from = 50
    with pytest.raises(memory.WrongSessionError, match="gave b''"):
        await memory.visits.serve(visits, tasks=5, browsers=10, requests=400)


async def test_process_that_fails_ends_the_run(memory: SimpleNamespace) -> None:
    """Its last words are the error."""
    settings = memory.benchmark.SMOKE
    with pytest.raises(Exception, match=r"(?s)^a million requests: the process has ended; .*ConnectionError"):
        await memory.benchmark._serve(settings, "redis://127.0.0.1:1/0", f"{secrets.token_hex(8)}:", lambda: None)
