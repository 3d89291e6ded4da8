"""What grows: the requests at once, the sessions, the nodes of a cluster."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import charts, lookup, tables
from benchmarks.cluster import running
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.chirp_store import ChirpStore
from benchmarks.contenders.on_cluster import ChirpStoreOnCluster, PooledClientOnCluster
from benchmarks.contenders.pooled_client import PooledClient
from benchmarks.run import Part, run_parts
from benchmarks.scenario import Case, Plan, Ratio, Scenario, Turn
from benchmarks.screen import number


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        rounds: that count.
        concurrency: tasks at once, each number in turn.
        sizes: bytes of a session, each in turn. A document of chirp's has 64 KiB at most, its envelope included.
        nodes: of a cluster, each number in turn.
        tasks: at once, where sizes and nodes vary.
        operations: of one measurement of `concurrency` and `nodes`; each task takes at least `least_times`.
        sized_operations: of one measurement of `sizes`.
        least_times: so that latencies are not those of the first batch alone.
    """

    rounds: int = 3
    concurrency: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    sizes: Sequence[int] = (100, 1000, 4000, 16_000, 64_000)
    nodes: Sequence[int] = (1, 2, 3)
    tasks: int = 100
    operations: int = 4000
    sized_operations: int = 1000
    least_times: int = 5


FULL = Settings()
CHART_TASKS = 1000
BY_ACTION = {"read": charts.CHIRP, "change": charts.CHIRP_PALE}
BY_RANK = {"p50": charts.CHIRP, "p99": charts.CHIRP_PALE}
BY_STORE = {ChirpStore.name: charts.CHIRP}
SMOKE = Settings(
    rounds=1,
    concurrency=(1, 5),
    sizes=(100, 64_000),
    nodes=(1, 2),
    tasks=5,
    operations=40,
    sized_operations=40,
    least_times=1,
)


def _tail(turn: Turn) -> float:
    figures = turn[AsgiChirp.name]
    return figures.p99_us / figures.p50_us


def _per_pooled(figure: str) -> Callable[[Turn], float]:
    def ratio(turn: Turn) -> float:
        mine: float = getattr(turn[ChirpStore.name], figure)
        theirs: float = getattr(turn[PooledClient.name], figure)
        return mine / theirs

    return ratio


PER_POOLED = (
    Ratio(
        "throughput / pooled client",
        "operations per second of the chirp store divided by the pooled client's; more is better",
        _per_pooled("operations_per_second"),
    ),
    Ratio(
        "CPU / pooled client",
        "CPU per operation of the chirp store divided by the pooled client's; less is better",
        _per_pooled("cpu_us"),
    ),
)
CONCURRENCY = Scenario(
    name="concurrency",
    description="requests at once through an app in process, and operations at once of the store alone",
    varies="tasks",
    contenders=(AsgiChirp, ChirpStore),
    ratios=(
        Ratio(
            "p99 / p50",
            f"99th percentile of the latency of requests to {AsgiChirp.name!r}, divided by their median",
            _tail,
        ),
    ),
)
SIZES = Scenario(
    name="sizes",
    description="the store alone, with larger and larger sessions",
    varies="payload_bytes",
    contenders=(ChirpStore, PooledClient),
    ratios=PER_POOLED,
)
NODES = Scenario(
    name="nodes",
    description="the store alone, on clusters of embedded servers, without replicas",
    varies="nodes",
    contenders=(ChirpStoreOnCluster, PooledClientOnCluster),
    ratios=PER_POOLED,
)


PER_PEER = (
    ("CPU of one load, µs", SIZES, "cpu_us", "bytes of the session"),
    ("Loads per second", NODES, "operations_per_second", "cluster nodes"),
)


def steps(settings: Settings) -> int:
    return sum(plan.turns(scenario) for scenario, plan in _plans(settings))


def _plans(settings: Settings) -> list[tuple[Scenario, Plan]]:
    concurrency = [Case(tasks) for tasks in settings.concurrency]
    sizes = [Case(settings.tasks, payload_bytes=size) for size in settings.sizes]
    nodes = [Case(settings.tasks, nodes=count) for count in settings.nodes]
    return [
        (CONCURRENCY, Plan(settings.rounds, concurrency, settings.operations, settings.least_times)),
        (SIZES, Plan(settings.rounds, sizes, settings.sized_operations)),
        (NODES, Plan(settings.rounds, nodes, settings.operations)),
    ]


async def run(settings: Settings, redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    with ExitStack() as started:
        clusters = {
            count: [node.url for node in started.enter_context(running(count)).nodes] for count in settings.nodes
        }
        parts = [
            Part(scenario, plan, clusters if scenario is NODES else {1: [redis_url]})
            for scenario, plan in _plans(settings)
        ]
        return await run_parts(parts, settings, redis_url, advance)


def show(results: dict[str, Any]) -> None:
    tables.show(results)


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the chart: CPU and latency over the requests at once, CPU over the sizes, throughput over the nodes."""
    settings, scenarios = results["settings"], results["scenarios"]
    requests = scenarios[CONCURRENCY.name]
    over = settings["concurrency"]
    tasks = CHART_TASKS if CHART_TASKS in over else over[-1]
    tail = lookup.ratio(requests, CONCURRENCY.ratios[0].name, "read", tasks=tasks)
    connections = lookup.median(requests, AsgiChirp.name, "read", "most_connections", tasks=tasks)
    title = f"{tasks:,} requests at once: connections to Redis {connections}, p99 / p50 {number(tail)}"
    with charts.chart(path, title, 2, 2, height=6.8) as axes:
        rows = {action: lookup.medians(requests, AsgiChirp.name, action, "cpu_us") for action in ("read", "change")}
        charts.lines(axes[0], "CPU of a request, µs", over, rows, colours=BY_ACTION, label="requests at once")
        latencies = {
            name: [value / 1000 for value in lookup.medians(requests, AsgiChirp.name, "read", figure)]
            for name, figure in (("p99", "p99_us"), ("p50", "p50_us"))
        }
        heading = "Latency of a reading request, ms"
        charts.lines(axes[1], heading, over, latencies, colours=BY_RANK, label="requests at once", log=True)
        for (heading, scenario, figure, label), panel in zip(PER_PEER, axes[2:], strict=True):
            found = scenarios[scenario.name]
            lines = {kind.name: lookup.medians(found, kind.name, "read", figure) for kind in scenario.contenders}
            charts.lines(
                panel, heading, settings[scenario.name], lines, colours=BY_STORE, label=label, log=figure == "cpu_us"
            )
