"""The store alone: this package's beside a pooled client and a client per operation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import charts, lookup, tables
from benchmarks.contenders.chirp_store import ChirpStore
from benchmarks.contenders.client_per_operation import ClientPerOperation
from benchmarks.contenders.pooled_client import BareGet, PooledClient
from benchmarks.run import Part, Settings, run_parts
from benchmarks.scenario import Ratio, Scenario, Turn
from benchmarks.screen import number

FULL = Settings(rounds=5, operations=12_000)  # long enough that starting the tasks does not show
SMOKE = Settings(rounds=1, tasks=(1, 5), operations=40)
CHART_TASKS = 100
NAMES = (ChirpStore.name, PooledClient.name, ClientPerOperation.name)
WORDS = {"read": "Loads", "change": "Loads and saves"}
ONE = {"read": "one load", "change": "one load and save"}


def _throughput(peer: str) -> Callable[[Turn], float]:
    def ratio(turn: Turn) -> float:
        return turn[ChirpStore.name].operations_per_second / turn[peer].operations_per_second

    return ratio


def _latency(turn: Turn) -> float:
    return turn[ChirpStore.name].p50_us / turn[BareGet.name].p50_us


def _cpu(turn: Turn) -> float:
    return turn[ChirpStore.name].cpu_us / turn[PooledClient.name].cpu_us


SCENARIO = Scenario(
    name="store",
    description="the store alone, on requests made beforehand; chirp finds its cookie each time, the others once",
    varies="tasks",
    contenders=(ChirpStore, PooledClient, BareGet, ClientPerOperation),
    ratios=(
        Ratio(
            "throughput / pooled client",
            "operations per second of the chirp store divided by the pooled client's; more is better",
            _throughput(PooledClient.name),
        ),
        Ratio(
            "throughput / client per operation",
            "operations per second of the chirp store divided by the client per operation's; more is better",
            _throughput(ClientPerOperation.name),
        ),
        Ratio(
            "CPU / pooled client",
            "CPU per operation of the chirp store divided by the pooled client's; less is better",
            _cpu,
        ),
        Ratio(
            "latency / bare GET",
            "median latency of the chirp store divided by that of a bare await client.get(key); less is better",
            _latency,
        ),
    ),
)


def steps(settings: Settings) -> int:
    return settings.plan().turns(SCENARIO)


async def run(settings: Settings, redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    return await run_parts([Part(SCENARIO, settings.plan(), {1: [redis_url]})], settings, redis_url, advance)


def show(results: dict[str, Any]) -> None:
    tables.show(results)


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the chart: operations per second at 100 tasks, and over the tasks."""
    store = results["scenarios"][SCENARIO.name]
    over = list(results["settings"]["tasks"])
    tasks = CHART_TASKS if CHART_TASKS in over else over[-1]
    throughput = lookup.ratio(store, SCENARIO.ratios[0].name, "read", tasks=tasks)
    title = f"With {tasks} tasks at once, chirp loads {number(throughput)} times the sessions of a pooled client"
    colours = {ChirpStore.name: charts.CHIRP}
    with charts.chart(path, title, 2, 2, height=6.4) as axes:
        for action, panel in zip(WORDS, axes[:2], strict=True):
            values = {name: lookup.median(store, name, action, "operations_per_second", tasks=tasks) for name in NAMES}
            charts.bars(panel, f"{WORDS[action]} per second", values, colours=colours)
        for action, panel in zip(WORDS, axes[2:], strict=True):
            rows = {name: lookup.medians(store, name, action, "cpu_us") for name in NAMES}
            heading = f"CPU of {ONE[action]}, µs"
            charts.lines(panel, heading, over, rows, colours=colours, label="tasks at once", log=True)
