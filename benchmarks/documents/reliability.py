"""The figures of docs/explanation/reliability.md."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.documents.markdown import rounded, table
from benchmarks.targets import Results

FOUND = {
    "wrong_sessions": "answers with a session of somebody else, or with a value that was never sent",
    "revived_sessions": "sessions that came back after their end was acknowledged",
    "lost_writes": "acknowledged writes that were lost",
    "lost_sessions": "acknowledged logins that were lost",
    "second_cookies": "requests with the id from before a renewal that were given a cookie as well",
    "other_statuses": "answers that are neither an answer of the app nor a 503 (a 500 above all)",
    "late": "answers that took longer than two deadlines and a second",
    "broken": "requests without any answer",
    "overtaken_cookies": "cookies of an id that came after the answer that had ended it; a browser would keep them",
    "undone_by_failover": "acknowledged just before or in a failover, and undone by it",
}


def load(results: Results) -> str:
    soak = results["soak"]
    settings, versions = soak["settings"], soak["versions"]
    least, most = settings["think_seconds"]
    requests = sum(phase["requests"] for phase in soak["phases"].values())
    rows = [
        ["length of the run", f"{soak['seconds']} s"],
        ["virtual browsers", f"{settings['browsers']}, {least:g} to {most:g} s between two pages"],
        ["requests", f"{requests:,}"],
        ["each event", f"{settings['times_each_event']} times, {settings['quiet_seconds']:g} s apart"],
        ["a node stays killed, frozen or cut off for", f"{settings['hold_seconds']:g} s"],
        ["deadline of a store step", f"{settings['store_timeout_seconds']:g} s, the default"],
        ["server", versions["server"]],
        ["Python, redis-py", f"{versions['python']}, {versions['redis']}"],
    ]
    return table(["of the run", ""], rows, text=2)


def found(results: Results) -> str:
    phases = results["soak"]["phases"].values()
    first, *_ = phases
    counted = {name: words for name, words in FOUND.items() if name in first["found"]}  # an older run has fewer
    rows = [
        ["requests", *(f"{phase['requests']:,}" for phase in phases)],
        ["of them refused with 503", *(f"{phase['statuses'].get('503', 0):,}" for phase in phases)],
        *([words, *(f"{phase['found'][name]:,}" for phase in phases)] for name, words in counted.items()),
        *(
            [
                f"ms, {when}: half of the answers, 99 of 100, all",
                *(_latency(phase["latency"][part]) for phase in phases),
            ]
            for part, when in (("quiet", "while nothing fails"), ("outage", "during an event"))
        ),
    ]
    return table(["", *results["soak"]["phases"]], rows)


def _latency(latency: dict[str, Any]) -> str:
    return ", ".join(rounded(latency[name]) for name in ("p50_ms", "p99_ms", "most_ms"))


def events(results: Results) -> str:
    rows = [
        [name, event, *_worst([one for one in phase["events"] if one["name"] == event])]
        for name, phase in results["soak"]["phases"].items()
        for event in dict.fromkeys(one["name"] for one in phase["events"])
    ]
    head = ["", "event", "servers out, s", "first answer, s", "last 503, s", "503s", "undone", "longest request, s"]
    return table(head, rows, text=2)


def _worst(times: Sequence[dict[str, Any]]) -> list[str]:
    """Return the longest of each time, and the sum of each count."""
    return [
        _most(one["down_seconds"] for one in times),
        _most(one["first_answer_seconds"] for one in times),
        _most(one["last_refusal_seconds"] for one in times),
        f"{sum(one['refused'] for one in times):,}",
        f"{sum(one['undone'] for one in times):,}",
        _most(one["longest_seconds"] for one in times),
    ]


def _most(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known):.2f}" if known else "-"


PARTS = {"load": load, "found": found, "events": events}
