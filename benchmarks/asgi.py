"""A request through an app in process: what sessions add to it, here and elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import charts, lookup, tables
from benchmarks.contenders.asgi_bare import AsgiBare
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.asgi_client_per_operation import AsgiClientPerOperation
from benchmarks.contenders.asgi_signed_cookie import AsgiSignedCookie
from benchmarks.contenders.asgi_starsessions import AsgiStarsessions
from benchmarks.contenders.chirp_app import AppBare, AppSessions
from benchmarks.contenders.contender import Contender
from benchmarks.contenders.litestar_app import LitestarBare, LitestarSessions
from benchmarks.run import Part, Settings, run_parts
from benchmarks.scenario import Ratio, Scenario, Turn
from benchmarks.screen import number

FULL = Settings(rounds=5)
SMOKE = Settings(rounds=1, tasks=(1, 5), operations=40)

CHART_TASKS = 100

# The same app without sessions, by the app that has them.
BARE: dict[type[Contender], type[Contender]] = {
    AsgiSignedCookie: AsgiBare,
    AsgiChirp: AsgiBare,
    AppSessions: AppBare,
    AsgiStarsessions: AsgiBare,
    LitestarSessions: LitestarBare,
    AsgiClientPerOperation: AsgiBare,
}
LINES = (AsgiSignedCookie, AsgiChirp, AsgiStarsessions, LitestarSessions)


def added(turn: Turn, kind: type[Contender]) -> float:
    """Return the CPU microseconds that its sessions add to the same app without any."""
    return turn[kind.name].cpu_us - turn[BARE[kind].name].cpu_us


def _added_ratio(kind: type[Contender], peer: type[Contender]) -> Ratio:
    def ratio(turn: Turn) -> float | None:
        by_peer = added(turn, peer)
        return added(turn, kind) / by_peer if by_peer > 0 else None

    return Ratio(
        f"{kind.name} / {peer.name}",
        f"CPU per request that {kind.name!r} adds to {BARE[kind].name!r}, divided by what {peer.name!r} adds to "
        f"{BARE[peer].name!r}; less is better",
        ratio,
    )


SCENARIO = Scenario(
    name="app",
    description="one request through an app called in process, its cookie parsed by whoever keeps the session",
    varies="tasks",
    contenders=(
        AsgiBare,
        AsgiSignedCookie,
        AsgiChirp,
        AsgiStarsessions,
        AsgiClientPerOperation,
        AppBare,
        AppSessions,
        LitestarBare,
        LitestarSessions,
    ),
    ratios=(
        _added_ratio(AsgiChirp, AsgiSignedCookie),
        _added_ratio(AppSessions, AsgiSignedCookie),
        _added_ratio(AsgiChirp, AsgiStarsessions),
        _added_ratio(AsgiChirp, LitestarSessions),
        _added_ratio(AsgiChirp, AsgiClientPerOperation),
    ),
)


def steps(settings: Settings) -> int:
    return settings.plan().turns(SCENARIO)


async def run(settings: Settings, redis_url: str, advance: Callable[[], None]) -> dict[str, Any]:
    return await run_parts([Part(SCENARIO, settings.plan(), {1: [redis_url]})], settings, redis_url, advance)


def show(results: dict[str, Any]) -> None:
    tables.show(results)


def draw(results: dict[str, Any], path: Path) -> None:
    """Save the chart: what each kind of session adds at 100 tasks, and over the tasks."""
    app = results["scenarios"][SCENARIO.name]
    over = list(results["settings"]["tasks"])
    tasks = CHART_TASKS if CHART_TASKS in over else over[-1]
    against_cookie = lookup.ratio(app, SCENARIO.ratios[0].name, "read", tasks=tasks)
    title = (
        f"{tasks} requests at once: reading a Redis session adds {number(against_cookie)} times a signed cookie's CPU"
    )
    colours = {AsgiChirp.name: charts.CHIRP, AppSessions.name: charts.CHIRP_PALE}
    rows = {action: {kind: _added_medians(app, kind, action) for kind in BARE} for action in ("read", "change")}
    with charts.chart(path, title, 2, 2, height=6.8) as axes:
        for (action, found), panel in zip(rows.items(), axes[:2], strict=True):
            values = {kind.name: found[kind][over.index(tasks)] for kind in BARE}
            left_out = values.pop(AsgiClientPerOperation.name)
            note = f"A client per operation: {number(left_out)}"
            charts.bars(panel, f"CPU added to a request, µs: {action}", values, colours=colours, note=note)
        for (action, found), panel in zip(rows.items(), axes[2:], strict=True):
            lines = {kind.name: found[kind] for kind in LINES}
            charts.lines(panel, f"the same: {action}", over, lines, colours=colours, label="requests at once", log=True)


def _added_medians(app: dict[str, Any], kind: type[Contender], action: str) -> list[float]:
    with_sessions, without = (lookup.medians(app, one.name, action, "cpu_us") for one in (kind, BARE[kind]))
    return [one - bare for one, bare in zip(with_sessions, without, strict=True)]
