"""The benchmarks measure what they say, and refuse to measure a contender that does other work."""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CONTENDERS = {
    "store": ["chirp store", "pooled client", "client per operation"],
    "asgi": ["no sessions", "signed cookie", "chirp on Redis"],
}
FIGURES = {"cpu_us", "wall_us", "p50_us", "p99_us", "operations_per_second"}


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """The modules of `benchmarks`, which nobody installs; at the path's end, so that the chirp under test stays."""
    names = ("measure", "results", "rounds", "run", "scenarios", "sessions", "contenders.contender")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        yield SimpleNamespace(**{name.rpartition(".")[2]: import_module(f"benchmarks.{name}") for name in names})


async def run(bench: SimpleNamespace, redis_url: str, *scenarios: Any, rounds: int = 1) -> dict[str, Any]:
    settings = bench.rounds.Settings(rounds=rounds, tasks=(1, 4), operations=8)
    found: dict[str, Any] = await bench.run.run(
        scenarios or bench.scenarios.SCENARIOS, settings, redis_url, lambda name: None
    )
    return found


@pytest.fixture(scope="module")
async def results(bench: SimpleNamespace, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a tiny run leaves in its file."""
    path = tmp_path_factory.mktemp("benchmarks") / "new folder" / "results.json"
    bench.results.write(path, await run(bench, redis_url, rounds=2))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from texts([*value, *value.values()])
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


async def test_results_name_versions_machine_and_settings(results: dict[str, Any]) -> None:
    """Whoever reads the figures sees what they depend on."""
    assert results["versions"]["server"].split()[0] in ("Valkey", "Redis")
    assert {"python", "redis", "hiredis", "chirp-sessions", "starlette"} <= set(results["versions"])
    assert set(results["machine"]) == {"cores", "system", "architecture"}
    settings = results["settings"]
    assert (settings["rounds"], settings["tasks"], settings["operations"]) == (2, [1, 4], 8)
    assert settings["warm_up_rounds"] == 1
    assert settings["payload_bytes"] == 250


async def test_results_hold_every_round_of_every_contender(results: dict[str, Any]) -> None:
    """The raw figures are there, so that every median and ratio can be computed again."""
    assert list(results["scenarios"]) == list(CONTENDERS)
    for name, contenders in CONTENDERS.items():
        scenario = results["scenarios"][name]
        assert list(scenario["contenders"]) == contenders
        turns = [(row["round"], row["tasks"], row["contender"]) for row in scenario["rounds"]]
        expected = {(number, tasks, contender) for number in (1, 2) for tasks in (1, 4) for contender in contenders}
        assert len(turns) == len(expected)
        assert set(turns) == expected
        for row in scenario["rounds"]:
            for action in ("read", "change"):
                assert set(row[action]) == FIGURES | {"operations"}
                assert row[action]["operations"] == 8
                assert all(row[action][figure] > 0 for figure in FIGURES)


async def test_ratios_are_of_the_same_round(results: dict[str, Any]) -> None:
    """A ratio's range can be computed again from the raw figures of each round."""
    scenario = results["scenarios"]["store"]
    ratio = next(ratio for ratio in scenario["ratios"] if ratio["name"] == "CPU / pooled client")
    assert {(value["action"], value["tasks"]) for value in ratio["values"]} == {
        (action, tasks) for action in ("read", "change") for tasks in (1, 4)
    }
    for value in ratio["values"]:
        cpu = {
            (row["round"], row["contender"]): row[value["action"]]["cpu_us"]
            for row in scenario["rounds"]
            if row["tasks"] == value["tasks"]
        }
        again = sorted(cpu[number, "chirp store"] / cpu[number, "pooled client"] for number in (1, 2))
        assert [value["least"], value["median"], value["most"]] == pytest.approx(
            [again[0], sum(again) / 2, again[1]], rel=1e-3
        )


async def test_connections_are_counted(results: dict[str, Any]) -> None:
    """A client per operation opens a connection for each GET and SET, a pool one for each task at once."""
    rows = [row for row in results["scenarios"]["store"]["rounds"] if row["tasks"] == 4]
    counts = {
        contender: [row["connections"] for row in rows if row["contender"] == contender]
        for contender in CONTENDERS["store"]
    }
    # 4 tasks change once to warm up and then twice, which is two commands each time, and read twice.
    assert all(count["opened"] == 2 * 4 + 2 * 8 + 8 for count in counts["client per operation"])
    assert all(count["most"] == 4 for count in counts["pooled client"])
    assert all(1 <= count["most"] <= 4 for count in counts["chirp store"])


async def test_results_name_no_host_and_no_path(results: dict[str, Any]) -> None:
    """A committed file tells nothing about whose machine it was."""
    for text in texts(results):
        assert str(ROOT) not in text
        assert "://" not in text


async def test_readme_quotes_the_committed_file() -> None:
    """The figures in the README are those of the run whose results are committed."""
    found = json.loads((ROOT / "benchmarks" / "results" / "first.json").read_text())
    quoted = (ROOT / "benchmarks" / "README.md").read_text().splitlines()
    for name, scenario in found["scenarios"].items():
        for ratio in scenario["ratios"]:
            for action in found["settings"]["actions"]:
                values = [f"{value['median']:.3g}" for value in ratio["values"] if value["action"] == action]
                assert " | ".join([f"| {name}", ratio["name"], action, *values]) + " |" in quoted


async def test_first_session_has_the_stated_size(bench: SimpleNamespace) -> None:
    """Every task's session is 250 bytes of JSON, after a change too."""
    for task in (0, 499):
        for session in (bench.sessions.first_session(task), bench.sessions.session_after(task, 4000)):
            assert len(bench.sessions.compact_json(session)) == 250


def another_session(base: Any) -> Any:
    """The contender, giving each task the session of the one before it."""

    class Mixed(base):
        async def read(self, task: int) -> object:
            return await super().read(task - 1)

    return Mixed


def pretends_to_store(base: Any) -> Any:
    """The contender, with a change that returns what is expected and stores nothing."""

    class Pretending(base):
        async def change(self, task: int) -> object:
            session = await self.show(task)
            session["count"] += 1
            return self.seen(session)

    return Pretending


def drops_a_key(base: Any) -> Any:
    """The contender, keeping less than it was given."""

    class Forgetful(base):
        async def show(self, task: int) -> dict[str, Any]:
            session = await super().show(task)
            del session["cart"]
            return session

    return Forgetful


@pytest.mark.parametrize("fault", [another_session, pretends_to_store, drops_a_key])
@pytest.mark.parametrize(("scenario", "name"), [(key, name) for key, names in CONTENDERS.items() for name in names])
async def test_wrong_session_fails_the_run(
    bench: SimpleNamespace, redis_url: str, scenario: str, name: str, fault: Any
) -> None:
    """Every contender is checked: one that does other work than the rest is not measured."""
    whole = next(one for one in bench.scenarios.SCENARIOS if one.name == scenario)
    kinds = [fault(kind) if kind.name == name else kind for kind in whole.contenders]
    with pytest.raises(bench.contender.WrongSessionError, match=f"^{name}: "):
        await run(bench, redis_url, replace(whole, contenders=kinds))


async def test_write_lost_while_measuring_fails_the_run(bench: SimpleNamespace, redis_url: str) -> None:
    """What is right in the check beforehand and wrong under load is found as well."""
    whole = bench.scenarios.SCENARIOS[0]
    base = next(kind for kind in whole.contenders if kind.name == "pooled client")

    class Lossy(base):  # type: ignore[misc,valid-type]
        stored = 0

        async def _set(self, key: str, value: bytes) -> None:
            self.stored += 1
            if self.stored % 8:  # the check beforehand stores three times
                await super()._set(key, value)

    with pytest.raises(bench.contender.WrongSessionError, match=r"^pooled client: "):
        await run(bench, redis_url, replace(whole, contenders=[Lossy]))


async def test_nothing_is_left_on_the_server(bench: SimpleNamespace, redis_url: str, redis_client: Any) -> None:
    """A run deletes its keys, also when it fails."""
    whole = bench.scenarios.SCENARIOS[0]
    await run(bench, redis_url, whole)
    kinds = [pretends_to_store(kind) for kind in whole.contenders]
    with pytest.raises(bench.contender.WrongSessionError):
        await run(bench, redis_url, replace(whole, contenders=kinds))
    assert [key async for key in redis_client.scan_iter(match="chirp-benchmark:*")] == []


async def test_percentile_is_the_nearest_rank(bench: SimpleNamespace) -> None:
    """p50 and p99 are values that occurred."""
    ordered = [float(value) for value in range(1, 101)]
    assert [bench.measure.percentile(ordered, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert bench.measure.percentile([7.0], 99) == 7


async def test_error_in_one_task_ends_the_measurement(bench: SimpleNamespace) -> None:
    """It is raised as it is, and no task goes on."""
    before = asyncio.all_tasks()
    running = asyncio.Event()

    async def action(task: int) -> None:
        if task == 1:
            await running.wait()
            raise OSError("no connection")
        running.set()
        await asyncio.Event().wait()

    with pytest.raises(OSError, match="no connection"):
        await bench.measure.measure(action, 2, 1)
    assert asyncio.all_tasks() == before
