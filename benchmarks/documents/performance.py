"""The figures of docs/explanation/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import lookup
from benchmarks.asgi import BARE
from benchmarks.contenders.asgi_chirp import AsgiChirp
from benchmarks.contenders.chirp_app import AppSessions
from benchmarks.contenders.chirp_store import ChirpStore
from benchmarks.contenders.contender import Contender
from benchmarks.contenders.pooled_client import BareGet, PooledClient
from benchmarks.documents.markdown import rounded, strong, table
from benchmarks.documents.reasons import REASONS
from benchmarks.instructions import budget
from benchmarks.targets import TARGETS, Results, Target

ACTIONS = ("read", "change")
OURS = {AsgiChirp.name, AppSessions.name, ChirpStore.name}
MIB = 2**20


def _added(results: Results) -> str:
    """Make a table of the CPU that sessions add to a request, over the requests at once."""
    over = results["asgi"]["settings"]["tasks"]
    rows = [
        [action, strong(kind.name, when=kind.name in OURS), *map(rounded, _added_cpu(results["asgi"], kind, action))]
        for action in ACTIONS
        for kind in BARE
    ]
    return table(["µs of CPU added to a request", "requests at once:", *_counts(over)], rows, text=2)


def _added_cpu(asgi: Results, kind: type[Contender], action: str) -> list[float]:
    app = asgi["scenarios"]["app"]
    ours, bare = (lookup.medians(app, one.name, action, "cpu_us") for one in (kind, BARE[kind]))
    return [with_sessions - without for with_sessions, without in zip(ours, bare, strict=True)]


def _http(results: Results) -> str:
    return _rates(
        dict(results["http"]), results["http"]["settings"]["connections"], "requests_per_second", "connections:"
    )


def _store(results: Results) -> str:
    micro = results["micro"]
    return _rates(micro["scenarios"]["store"], micro["settings"]["tasks"], "operations_per_second", "tasks at once:")


def _rates(scenario: dict[str, Any], over: Sequence[int], figure: str, varies: str) -> str:
    rows = [
        [
            action,
            strong(name, when=name in OURS),
            *map(rounded, lookup.medians(scenario, name, action, figure)),
        ]
        for action in ACTIONS
        for name in _names(scenario, action)
    ]
    return table(["per second", varies, *_counts(over)], rows, text=2)


def _names(scenario: dict[str, Any], action: str) -> list[str]:
    """Return whose rows are shown; a change by the bare GET is the pooled client's over again."""
    return [name for name in scenario["contenders"] if (name, action) != (BareGet.name, "change")]


def _latency(results: Results) -> str:
    """Make a table of the store's latency over the tasks."""
    micro = results["micro"]
    store, over = micro["scenarios"]["store"], micro["settings"]["tasks"]
    rows = []
    for action in ACTIONS:
        for name in _names(store, action):
            p50, p99 = (lookup.medians(store, name, action, figure) for figure in ("p50_us", "p99_us"))
            cells = [f"{rounded(one)} / {rounded(other)}" for one, other in zip(p50, p99, strict=True)]
            rows.append([action, strong(name, when=name in OURS), *cells])
    return table(["µs, p50 / p99", "tasks at once:", *_counts(over)], rows, text=2)


def _targets(results: Results) -> str:
    rows = []
    for target in TARGETS:
        figure = target.figure(results[target.file])
        rows.append(
            [
                target.name,
                shown(target, figure),
                target.written(target.must),
                target.written(target.aim),
                reached(target, figure),
            ]
        )
    return table(["figure", "measured", "must", "aim", "reached"], rows)


def _pythons(results: Results) -> str:
    """Make a table of the store's targets, on the newest Python and on the oldest."""
    files = ("micro", "micro-oldest")
    rows = [
        [target.name, *(shown(target, target.figure(results[name])) for name in files), target.written(target.must)]
        for target in TARGETS
        if target.file == "micro"
    ]
    return table(["figure", *(results[name]["versions"]["python"] for name in files), "must"], rows)


def shown(target: Target, figure: float) -> str:
    """Write the figure with three digits, or with as many more as its verdict needs to be right about what is read."""
    texts = [f"{figure:.{digits}g}" for digits in range(3, 9)]
    return next((text for text in texts if reached(target, float(text)) == reached(target, figure)), repr(figure))


def reached(target: Target, figure: float) -> str:
    if target.reached(figure, target.aim):
        return "the aim"
    return "must" if target.reached(figure, target.must) else "**neither**"


def _missed(results: Results) -> str:
    """Make a list of the aims that are missed, with what stands in the way."""
    missed = [target for target in TARGETS if not target.reached(target.figure(results[target.file]), target.aim)]
    if not missed:
        return "Every aim is reached."
    return "\n".join([f"- **{target.name}.** {REASONS[target.name]}" for target in missed])


def _concurrency(results: Results) -> str:
    """Make a table of CPU, latency and connections over the requests at once."""
    scale = results["scale"]
    scenario, over = scale["scenarios"]["concurrency"], scale["settings"]["concurrency"]
    rows = [[f"{count:,}"] for count in over]
    for action in ACTIONS:
        for figure, unit in (("cpu_us", 1), ("p50_us", 1000), ("p99_us", 1000), ("most_connections", 1)):
            values = lookup.medians(scenario, AsgiChirp.name, action, figure)
            for row, value in zip(rows, values, strict=True):
                row.append(rounded(value / unit))
    columns = ("CPU µs", "p50 ms", "p99 ms", "connections")
    return table(["requests at once", *(f"{action}: {name}" for action in ACTIONS for name in columns)], rows)


def _sizes(results: Results) -> str:
    scale = results["scale"]
    return _both_stores(scale["scenarios"]["sizes"], scale["settings"]["sizes"], "bytes of the session")


def _nodes(results: Results) -> str:
    scale = results["scale"]
    return _both_stores(scale["scenarios"]["nodes"], scale["settings"]["nodes"], "cluster nodes")


def _both_stores(scenario: dict[str, Any], over: Sequence[int], varies: str) -> str:
    """Make a table of CPU and throughput over what grows."""
    head, rows = [varies], [[count] for count in _counts(over)]
    for action in ACTIONS:
        for figure, unit in (("cpu_us", "CPU µs"), ("operations_per_second", "per second")):
            head.append(f"{action}: {unit}")
            ours, pooled = (
                lookup.medians(scenario, name, action, figure) for name in (ChirpStore.name, PooledClient.name)
            )
            for row, one, other in zip(rows, ours, pooled, strict=True):
                row.append(f"**{rounded(one)}** / {rounded(other)}")
    return f"**{ChirpStore.name}** / {PooledClient.name}\n\n{table(head, rows)}"


def _memory(results: Results) -> str:
    """Make a table of what a process takes after its first requests and after its last."""
    requests = results["memory"]["requests"]
    samples = requests["rounds"][-1]["samples"]
    rows = [
        [f"after {sample['requests']:,} requests", f"{sample['resident_bytes'] / MIB:.1f}", f"{sample['objects']:,}"]
        for sample in samples
        if "objects" in sample and sample["resident_bytes"] is not None
    ]
    return table(["a process", "resident MiB", "objects that the garbage collector tracks"], rows)


def _stored(results: Results) -> str:
    stored = results["memory"]["stored"]
    sessions = sorted(stored["sessions"], key=lambda row: row["payload_bytes"])
    rows = [[f"session of {row['payload_bytes']:,} bytes", f"{row['sessions']:,}", *_bytes(row)] for row in sessions]
    ended = stored["tombstones"]
    rows.append(["tombstone of an ended session", f"{ended['tombstones']:,}", *_bytes(ended)])
    return table(["bytes for each", "stored", "key", "value", "Redis memory"], rows)


def _bytes(row: Mapping[str, Any]) -> list[str]:
    return [rounded(row[figure]) for figure in ("key_bytes", "value_bytes", "used_bytes")]


def _instructions(results: Results) -> str:
    """Make a table of the instructions of a request, and of what sessions add beside the budget."""
    limits = budget.read(budget.COMMITTED)
    rows = []
    for action, counted in results["instructions"]["counts"].items():
        for name, figures in counted["contenders"].items():
            ours = name in OURS
            ratio, limit = (f"{counted['ratio']['median']:.3f}", f"{limits[action]:.3f}") if ours else ("", "")
            total = figures["instructions"]["median"]
            rows.append([action, strong(name, when=ours), f"{total:,}", f"{figures['added']:,}", ratio, limit])
    head = ["per request", "", "instructions", "added", "added / signed cookie's", "budget"]
    return table(head, rows, text=2)


UNREPEATED = ("soak", "instructions")


def _environment(results: Results) -> str:
    """Say what the figures depend on; versions are those of the run, and the same in each file or else named."""
    versions = {
        f"{name} {version}": None
        for file, found in results.items()
        if file != "soak"  # which measures no speed
        for name, version in found["versions"].items()
        if version is not None
    }
    machine = results["asgi"]["machine"]
    rounds = ", ".join(f"{name} {results[name]['settings']['rounds']}" for name in results if name not in UNREPEATED)
    lines = [
        f"- {machine['cores']} cores, {machine['system']}, {machine['architecture']}",
        f"- rounds: {rounds}",
        f"- versions: {', '.join(versions)}",
    ]
    return "\n".join(lines)


def _noise(results: Results) -> str:
    """Make a list of the ranges in which the rounds of one run lay, and of the warnings of the run itself."""
    return "\n".join([*_ranges(results), *(f"- http, {warning}." for warning in results["http"]["warnings"])])


def _ranges(results: Results) -> Iterator[str]:
    name = f"{AsgiChirp.name} / signed cookie"
    found = [
        ("CPU added", results["asgi"]["scenarios"]["app"]["ratios"], name, {"tasks": 100}),
        ("HTTP requests per second", results["http"]["ratios"], f"{name}, requests per second", {"connections": 64}),
    ]
    for what, ratios, ratio, case in found:
        rows = [row for one in ratios if one["name"] == ratio for row in one["values"]]
        for row in rows:
            if case.items() <= row.items():
                least, median, most = (rounded(row[figure]) for figure in ("least", "median", "most"))
                yield (
                    f"- {row['action']}, {what} / signed cookie: {median}, and from {least} to {most} in "
                    f"{row['rounds']} rounds."
                )


def _counts(over: Sequence[int]) -> list[str]:
    return [f"{count:,}" for count in over]


PARTS = {
    "added": _added,
    "http": _http,
    "store": _store,
    "latency": _latency,
    "targets": _targets,
    "missed": _missed,
    "pythons": _pythons,
    "concurrency": _concurrency,
    "sizes": _sizes,
    "nodes": _nodes,
    "memory": _memory,
    "stored": _stored,
    "instructions": _instructions,
    "environment": _environment,
    "noise": _noise,
}
