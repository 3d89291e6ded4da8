"""A contender that does other work than the rest is not measured, and no run leaves anything behind."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from benchmarks import asgi, micro, scale
from benchmarks.cluster import running
from benchmarks.contenders.contender import WrongSessionError
from benchmarks.contenders.pooled_client import PooledClient
from benchmarks.rounds import run_scenario
from benchmarks.scenario import Case, Plan, Scenario
from benchmarks.sessions import compact_json, first_session, session_after

TINY = Plan(rounds=1, cases=(Case(1), Case(4)), operations=8)


async def measure(scenario: Scenario, servers: Mapping[int, Sequence[str]], plan: Plan = TINY) -> None:
    await run_scenario(scenario, plan, servers, lambda: None)


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
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        pytest.param(scenario, kind, id=f"{scenario.name}-{kind.name}")
        for scenario in (micro.SCENARIO, asgi.SCENARIO, scale.SIZES)
        for kind in scenario.contenders
    ],
)
async def test_wrong_session_fails_the_run(redis_url: str, scenario: Scenario, kind: Any, fault: Any) -> None:
    """Every contender is checked."""
    with pytest.raises(WrongSessionError, match=f"^{kind.name}: "):
        await measure(replace(scenario, contenders=[fault(kind)]), {1: [redis_url]})


async def test_write_lost_while_measuring_fails_the_run(redis_url: str) -> None:
    """What is right in the check beforehand and wrong under load is found as well."""

    class Lossy(PooledClient):
        stored = 0

        async def _set(self, key: str, value: bytes) -> None:
            self.stored += 1
            if self.stored % 8:  # the check beforehand stores three times
                await super()._set(key, value)

    with pytest.raises(WrongSessionError, match=r"^pooled client: "):
        await measure(replace(micro.SCENARIO, contenders=[Lossy]), {1: [redis_url]})


async def test_nothing_is_left_on_the_server(redis_url: str, redis_client: Redis) -> None:
    """A run deletes its keys, also when it fails."""
    await measure(replace(micro.SCENARIO, ratios=()), {1: [redis_url]})
    kinds = [pretends_to_store(kind) for kind in micro.SCENARIO.contenders]
    with pytest.raises(WrongSessionError):
        await measure(replace(micro.SCENARIO, contenders=kinds), {1: [redis_url]})
    assert [key async for key in redis_client.scan_iter(match="chirp-benchmark:*")] == []


@pytest.mark.parametrize("size", [100, 250, 1000, 64_000])
def test_session_has_the_stated_size(size: int) -> None:
    """Every task's session is so many bytes of JSON, after a change too."""
    for task in (0, 1999):
        for session in (first_session(task, size), session_after(task, 4000, size)):
            assert len(compact_json(session)) == size


async def test_cluster_nodes_share_the_sessions() -> None:
    """Each of two nodes stores some of them, and they count together."""
    with running(2) as cluster:
        kept, urls = [], [node.url for node in cluster.nodes]

        class Looking(scale.PooledClientOnCluster):
            async def close(self) -> None:
                for url in urls:
                    async with Redis.from_url(url) as client:
                        kept.append(await client.dbsize())
                await super().close()

        plan = Plan(rounds=0, cases=[Case(20, nodes=2)], operations=20)
        await measure(replace(scale.NODES, contenders=[Looking], ratios=()), {2: urls}, plan)
        assert sum(kept) == 20
        assert all(kept)
