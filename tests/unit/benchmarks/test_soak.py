"""The soak notices a store that breaks its promises, and finds nothing wrong with this package's."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import benchmark, phases
from benchmarks.soak.figures import broken_promises, figures_of
from benchmarks.soak.settings import SMOKE, steps
from chirp.errors import ChirpError

BRIEF = replace(SMOKE, browsers=8, think_seconds=(0.01, 0.03), single=("reset",), quiet_seconds=0.8)
BROKEN = """\
from redis.asyncio import Redis

from benchmarks.soak import app
from chirp.middleware.sessions import RedisSessionStore
from chirp.middleware.sessions.merging import Written
from chirp.middleware.sessions.steps import End, Look


class EndsNothing(RedisSessionStore):
    async def _run(self, steps):
        replies = await super()._run([Look(step.key) if isinstance(step, End) else step for step in steps])
        return [True if isinstance(step, End) else reply for step, reply in zip(steps, replies)]


class Overwrites(RedisSessionStore):
    async def _write(self, write):
        async with Redis.from_url(URL) as client:
            await client.set(write.swap.key, write.swap.document)
        return Written(True, write.swap.document)


class Mixes(RedisSessionStore):
    last = None

    async def _read(self, key):
        previous, Mixes.last = Mixes.last or key, key
        return await super()._read(previous)


class FollowsNothing(RedisSessionStore):
    async def _followed(self, key, value):
        return key, value


class FollowsAll(RedisSessionStore):
    async def _move(self, session, data, now, *, follow):
        return await super()._move(session, data, now, follow=True)


class SetsCookies(RedisSessionStore):
    def _is_followed(self, session):
        return False


class Fails(RedisSessionStore):
    async def _read(self, key):
        raise ValueError("a bug")


class App(app.UnderStarlette):
    def _make_app(self):
        global URL
        URL = self.redis_url
        app.RedisSessionStore = STORE
        return super()._make_app()


STORE = {store}
"""


@pytest.mark.parametrize(
    ("store", "finding"),
    [
        ("EndsNothing", "revived sessions"),
        ("Overwrites", "lost writes"),
        ("Mixes", "wrong sessions"),
        ("FollowsNothing", "lost sessions"),
        ("FollowsAll", "revived sessions"),
        ("SetsCookies", "second cookies"),
        ("Fails", "other statuses"),
    ],
)
async def test_a_broken_store_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: str, finding: str
) -> None:
    """Nothing but the store is exchanged: an end that ends nothing, a swap that compares nothing, and so on."""
    (tmp_path / "broken_app.py").write_text(BROKEN.replace("{store}", store))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(phases, "FRONTS", ("broken_app:App",) * 2)
    log = await phases.single(BRIEF, lambda: None)
    broken = broken_promises({log.name: figures_of(log)})
    assert finding in [words.partition(": ")[2].partition(" ")[2] for words in broken]


async def test_a_run_that_breaks_a_promise_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command then ends with 1, says what it was, and writes no file."""

    async def single(*_: object) -> phases.Log:
        log = phases.Log("one node", "for a test", "Valkey")
        log.findings.add("lost_writes", "cart is gone")
        return log

    async def other(*_: object) -> phases.Log:
        return phases.Log("other", "for a test", "Valkey")

    monkeypatch.setattr(phases, "single", single)
    monkeypatch.setattr(phases, "sentinel", other)
    monkeypatch.setattr(phases, "cluster", other)
    with pytest.raises(benchmark.WrongSessionError, match="one node: 1 lost writes; lost_writes: cart is gone"):
        await benchmark.run(SMOKE, "", lambda: None)


async def test_an_event_that_fails_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a group of errors, which the command would not know."""

    async def fail(*_: object) -> None:
        raise ChirpError("waited for a failover")

    monkeypatch.setattr(phases.Single, "events", lambda _: {"reset": fail})
    with pytest.raises(ChirpError, match="waited for a failover"):
        await phases.single(BRIEF, lambda: None)


async def test_brief_run_finds_nothing_wrong() -> None:
    """A node that is killed and a connection that breaks; every step is told."""
    told: list[None] = []
    log = await phases.single(SMOKE, lambda: told.append(None))
    found = figures_of(log)
    assert broken_promises({log.name: found}) == []
    assert len(told) == len(SMOKE.single) == steps(SMOKE) - len(SMOKE.sentinel) - len(SMOKE.cluster)
    kill, _ = found["events"]
    assert kill["refused"] > 0
    assert kill["first_answer_seconds"] is not None
    assert set(found["statuses"]) <= {"200", "401", "503"}
