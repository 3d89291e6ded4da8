"""What a run of `micro` and `asgi` leaves in its file."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import asgi, micro, results
from benchmarks.run import Settings

ROOT = Path(__file__).parents[3]
TINY = Settings(rounds=2, tasks=(1, 4), operations=8)
FIGURES = {"cpu_us", "wall_us", "p50_us", "p99_us", "operations_per_second"}
CONTENDERS = {
    "store": ["chirp store", "pooled client", "bare GET", "client per operation"],
    "app": [
        "no sessions",
        "signed cookie",
        "chirp on Redis",
        "starsessions",
        "client per operation",
        "chirp.App, no sessions",
        "chirp.App on Redis",
        "Litestar, no sessions",
        "Litestar",
    ],
}


async def run(module: ModuleType, redis_url: str, folder: Path) -> dict[str, Any]:
    """Run it, and return what is read from its file."""
    advanced: list[None] = []
    path = folder / "new folder" / "results.json"
    results.write(path, await module.run(TINY, redis_url, lambda: advanced.append(None)))
    assert len(advanced) == module.steps(TINY)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
async def of_micro(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return await run(micro, redis_url, tmp_path_factory.mktemp("micro"))


@pytest.fixture(scope="module")
async def of_asgi(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return await run(asgi, redis_url, tmp_path_factory.mktemp("asgi"))


@pytest.fixture(params=["of_micro", "of_asgi"])
def of_each(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.getfixturevalue(request.param)
    return found


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from texts([*value, *value.values()])
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


async def test_results_name_versions_machine_and_settings(of_each: dict[str, Any]) -> None:
    """Whoever reads the figures sees what they depend on."""
    assert of_each["versions"]["server"].split()[0] in ("Valkey", "Redis")
    assert {"python", "redis", "hiredis", "chirp-sessions", "starlette", "starsessions", "litestar"} <= set(
        of_each["versions"]
    )
    assert set(of_each["machine"]) == {"cores", "system", "architecture"}
    settings = of_each["settings"]
    assert (settings["rounds"], settings["tasks"], settings["operations"]) == (2, [1, 4], 8)
    assert settings["warm_up_rounds"] == 1
    assert settings["payload_bytes"] == 250


async def test_results_hold_every_round_of_every_contender(of_each: dict[str, Any]) -> None:
    """The raw figures are there, so that every median and ratio can be computed again."""
    for name, scenario in of_each["scenarios"].items():
        contenders = CONTENDERS[name]
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


async def test_ratios_are_of_the_same_round(of_micro: dict[str, Any]) -> None:
    """A ratio's range can be computed again from the raw figures of each round."""
    scenario = of_micro["scenarios"]["store"]
    ratio = next(ratio for ratio in scenario["ratios"] if ratio["name"] == "CPU / pooled client")
    assert {(value["action"], value["tasks"]) for value in ratio["values"]} == {
        (action, tasks) for action in ("read", "change") for tasks in (1, 4)
    }
    for value in ratio["values"]:
        cpu = cpu_of(scenario, value)
        again = sorted(cpu[number, "chirp store"] / cpu[number, "pooled client"] for number in (1, 2))
        assert [value["least"], value["median"], value["most"]] == pytest.approx(
            [again[0], sum(again) / 2, again[1]], rel=1e-3
        )


async def test_added_cpu_is_counted_from_the_same_framework(of_asgi: dict[str, Any]) -> None:
    """What Litestar's sessions add is counted from Litestar without any, not from Starlette."""
    scenario = of_asgi["scenarios"]["app"]
    ratio = next(ratio for ratio in scenario["ratios"] if ratio["name"] == "chirp on Redis / Litestar")
    for value in ratio["values"]:
        cpu = cpu_of(scenario, value)
        again = [
            (cpu[number, "chirp on Redis"] - cpu[number, "no sessions"])
            / (cpu[number, "Litestar"] - cpu[number, "Litestar, no sessions"])
            for number in (1, 2)
        ]
        assert value["median"] == pytest.approx(sum(again) / 2, rel=1e-2)


def cpu_of(scenario: dict[str, Any], value: dict[str, Any]) -> dict[tuple[int, str], float]:
    """Return the CPU of the value's action and tasks, by round and contender."""
    return {
        (row["round"], row["contender"]): row[value["action"]]["cpu_us"]
        for row in scenario["rounds"]
        if row["tasks"] == value["tasks"]
    }


async def test_connections_are_counted(of_micro: dict[str, Any]) -> None:
    """A client per operation opens a connection for each load and save, a pool one for each task at once."""
    rows = [row for row in of_micro["scenarios"]["store"]["rounds"] if row["tasks"] == 4]
    counts = {
        contender: [row["connections"] for row in rows if row["contender"] == contender]
        for contender in CONTENDERS["store"]
    }
    # 4 tasks change once to warm up and then twice, which is two clients each time, and read twice.
    assert all(count["opened"] == 2 * 4 + 2 * 8 + 8 for count in counts["client per operation"])
    assert all(count["most"] == 4 for count in counts["pooled client"])
    assert all(1 <= count["most"] <= 4 for count in counts["chirp store"])


async def test_results_name_no_host_and_no_path(of_each: dict[str, Any]) -> None:
    """A committed file tells nothing about whose machine it was."""
    for text in texts(of_each):
        assert str(ROOT) not in text
        assert "://" not in text


@pytest.mark.parametrize(("module", "found"), [(micro, "of_micro"), (asgi, "of_asgi")])
async def test_ratios_are_shown(
    module: ModuleType, found: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has every ratio, under its name."""
    measured = request.getfixturevalue(found)
    module.show(measured)
    shown = capsys.readouterr().out
    for scenario in measured["scenarios"].values():
        for ratio in scenario["ratios"]:
            assert ratio["name"] in shown


@pytest.mark.parametrize(("module", "found"), [(micro, "of_micro"), (asgi, "of_asgi")])
async def test_chart_is_drawn(module: ModuleType, found: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """As SVG and as PNG, in a folder that need not exist."""
    module.draw(request.getfixturevalue(found), tmp_path / "charts" / "chart")
    assert (tmp_path / "charts" / "chart.svg").read_text().startswith("<?xml")
    assert (tmp_path / "charts" / "chart.png").read_bytes().startswith(b"\x89PNG")
