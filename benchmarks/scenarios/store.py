"""The store alone: this package's beside a pooled client and a client per operation."""

from collections.abc import Callable

from benchmarks.contenders.chirp_store import ChirpStore
from benchmarks.contenders.client_per_operation import ClientPerOperation
from benchmarks.contenders.pooled_client import PooledClient
from benchmarks.scenarios.scenario import Ratio, Scenario, Turn


def _throughput(peer: str) -> Callable[[Turn], float]:
    def ratio(turn: Turn) -> float:
        return turn[ChirpStore.name].operations_per_second / turn[peer].operations_per_second

    return ratio


def _latency(turn: Turn) -> float:
    return turn[ChirpStore.name].p50_us / turn[PooledClient.name].p50_us


def _cpu(turn: Turn) -> float:
    return turn[ChirpStore.name].cpu_us / turn[PooledClient.name].cpu_us


SCENARIO = Scenario(
    name="store",
    description="the store alone; the requests and their cookies are parsed beforehand for every contender",
    contenders=(ChirpStore, PooledClient, ClientPerOperation),
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
            "latency / pooled client",
            "median latency of the chirp store divided by the pooled client's; less is better",
            _latency,
        ),
    ),
)
