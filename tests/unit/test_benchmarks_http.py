"""`benchmarks.http` loads real servers, counts what they answer, believes no wrong answer and leaves nobody behind."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ["no sessions", "signed cookie", "chirp on Redis"]
FIGURES = {
    "requests",
    "requests_per_second",
    "p50_us",
    "p99_us",
    "server_cpu_us",
    "server_cpu_share",
    "generator_cpu_us",
    "generator_cpu_share",
}


@pytest.fixture(scope="module")
def http() -> Iterator[SimpleNamespace]:
    """The modules of `benchmarks.http`, which nobody installs; at the path's end: the chirp under test stays."""
    names = ("benchmark", "browser", "child", "clocks", "figures", "settings", "turn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        modules = {name: import_module(f"benchmarks.http.{name}") for name in names}
        wrong = import_module("benchmarks.contenders.contender").WrongSessionError
        yield SimpleNamespace(WrongSessionError=wrong, **modules)


def brief(http: SimpleNamespace, *contenders: tuple[str, str], rounds: int = 1) -> Any:
    return http.settings.Settings(
        rounds=rounds, connections=(1, 3), warm_up_seconds=0.01, seconds=0.02, contenders=contenders
    )


@pytest.fixture(scope="module")
async def results(http: SimpleNamespace, redis_url: str) -> dict[str, Any]:
    """What a tiny run gives, without the peers, which need not be installed."""
    contenders = [one for one in http.settings.CONTENDERS if one[0] in NAMES]
    settings = brief(http, *contenders, rounds=2)
    steps: list[None] = []
    found: dict[str, Any] = await http.benchmark.run(settings, redis_url, lambda: steps.append(None))
    assert len(steps) == http.benchmark.steps(settings) == 12
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


@pytest.fixture
def contender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a module with a contender of a test's own, and return its name and path; a server leaves its pid there."""

    def write(source: str) -> tuple[str, str]:
        head = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from starlette.responses import PlainTextResponse\n"
            "from benchmarks.contenders.asgi_bare import AsgiBare\n"
            f"HERE = Path({str(tmp_path)!r})\n"
            "(HERE / 'pid').write_text(str(os.getpid()))\n"
        )
        (tmp_path / "odd_contender.py").write_text(head + source)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return "odd", "odd_contender:Odd"

    return write


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_results_hold_every_round_of_every_contender(results: dict[str, Any]) -> None:
    """The raw figures are there, so that every median and ratio can be computed again."""
    assert list(results["contenders"]) == NAMES
    turns = {(row["round"], row["connections"], row["contender"]) for row in results["rounds"]}
    assert turns == {(number, count, name) for number in (1, 2) for count in (1, 3) for name in NAMES}
    assert len(results["rounds"]) == len(turns)
    for row in results["rounds"]:
        for action in ("read", "change"):
            assert set(row[action]) == FIGURES
            assert row[action]["requests"] >= row["connections"]
            assert row[action]["requests_per_second"] > 0
        assert row["answers"] > row["read"]["requests"] + row["change"]["requests"]


async def test_contenders_take_turns_in_another_order_each_round(results: dict[str, Any]) -> None:
    """Nobody always follows the same one."""
    orders = [[row["contender"] for row in results["rounds"] if row["round"] == number][::2] for number in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(NAMES)
    assert orders[0] != orders[1]


async def test_ratios_are_of_the_same_round(results: dict[str, Any]) -> None:
    """A ratio's range can be computed again from the raw figures of each round."""
    ratio = next(
        one for one in results["ratios"] if one["name"] == "chirp on Redis / signed cookie, requests per second"
    )
    assert {(value["action"], value["connections"]) for value in ratio["values"]} == {
        (action, count) for action in ("read", "change") for count in (1, 3)
    }
    for value in ratio["values"]:
        speed = {
            (row["round"], row["contender"]): row[value["action"]]["requests_per_second"]
            for row in results["rounds"]
            if row["connections"] == value["connections"]
        }
        again = sorted(speed[number, "chirp on Redis"] / speed[number, "signed cookie"] for number in (1, 2))
        assert [value["least"], value["median"], value["most"]] == pytest.approx(
            [again[0], sum(again) / 2, again[1]], rel=1e-3
        )


async def test_results_name_no_host_and_no_path(results: dict[str, Any]) -> None:
    """A committed file tells nothing about whose machine it was."""
    text = json.dumps(results)
    assert str(ROOT) not in text
    assert "://" not in text
    assert "127.0.0.1" not in text


async def test_nothing_is_left_on_the_server(results: dict[str, Any], redis_client: Any) -> None:
    """A run deletes its keys."""
    assert [key async for key in redis_client.scan_iter(match="chirp-benchmark:*")] == []


async def test_browsers_count_what_the_app_has_answered(
    http: SimpleNamespace, contender: Any, redis_url: str, tmp_path: Path
) -> None:
    """The contender's own count of requests, taken in its app, is the browsers' count of answers."""
    one = contender("""
class Odd(AsgiBare):
    count = 0
    def _make_app(self):
        inner = super()._make_app()
        async def counted(scope, receive, send):
            self.count += scope["type"] == "http"
            await inner(scope, receive, send)
        return counted
    async def close(self):
        (HERE / "count").write_text(str(self.count))
""")
    found = await http.benchmark.run(brief(http, one), redis_url, lambda: None)
    assert int((tmp_path / "count").read_text()) == sum(row["answers"] for row in found["rounds"])


async def test_requests_that_nobody_sent_fail_the_run(
    http: SimpleNamespace, contender: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's count has to be the browsers' count."""
    next_line = http.child.Child.next_line

    async def one_more(self: Any, seconds: float) -> dict[str, Any]:
        facts: dict[str, Any] = await next_line(self, seconds)
        return {**facts, "served": facts["served"] + 1} if "served" in facts else facts

    monkeypatch.setattr(http.child.Child, "next_line", one_more)
    one = contender("Odd = AsgiBare\n")
    with pytest.raises(http.WrongSessionError, match=r"^odd: the server has counted \d+ requests"):
        await http.benchmark.run(brief(http, one), redis_url, lambda: None)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("PlainTextResponse('Reader 0000: 7')", id="another body"),
        pytest.param("PlainTextResponse('')", id="no body"),
        pytest.param("PlainTextResponse(response.body, 500)", id="another status"),
        pytest.param("PlainTextResponse(response.body + b' ')", id="a longer body"),
    ],
)
async def test_wrong_answer_under_load_fails_the_run(
    http: SimpleNamespace, contender: Any, redis_url: str, tmp_path: Path, answer: str
) -> None:
    """One wrong answer among right ones is found, the run ends with it, and so do its processes."""
    one = contender(f"""
class Odd(AsgiBare):
    reads = 0
    def handler(self, handler):
        async def mostly_right(request):
            response = await handler(request)
            if request.url.path == "/read":
                self.reads += 1
                if self.reads == 5:
                    return {answer}
            return response
        mostly_right.__name__ = handler.__name__
        return mostly_right
""")
    with pytest.raises(http.WrongSessionError, match=r"^odd: /read gave "):
        await http.benchmark.run(brief(http, one), redis_url, lambda: None)
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_server_that_does_not_start_ends_the_run_with_its_last_words(
    http: SimpleNamespace, contender: Any, redis_url: str, tmp_path: Path
) -> None:
    """Nobody waits for a port that will not come."""
    one = contender("sys.exit('no such thing as an app')\n")
    with pytest.raises(http.child.ChirpError, match="no such thing as an app"):
        await http.benchmark.run(brief(http, one), redis_url, lambda: None)
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_servers_are_ended(http: SimpleNamespace, contender: Any, redis_url: str, tmp_path: Path) -> None:
    """When a run is over, so is its server."""
    await http.benchmark.run(brief(http, contender("Odd = AsgiBare\n")), redis_url, lambda: None)
    assert not is_running(int((tmp_path / "pid").read_text()))


async def test_cancelled_run_ends_its_server(
    http: SimpleNamespace, contender: Any, redis_url: str, tmp_path: Path
) -> None:
    """As Ctrl-C does it, in the middle of the load."""
    loaded = asyncio.Event()
    settings = brief(http, contender("Odd = AsgiBare\n"))
    run = asyncio.create_task(http.benchmark.run(settings, redis_url, loaded.set))
    await loaded.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not is_running(int((tmp_path / "pid").read_text()))


@pytest.fixture
async def in_pieces() -> AsyncIterator[int]:
    """The port of a server that sends its responses byte by byte."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for count in (1_000_001, 1_000_002):
            await reader.readuntil(b"\r\n\r\n")
            body = f"Reader: {count}".encode("ascii")
            for byte in b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_response_may_come_in_pieces(http: SimpleNamespace, in_pieces: int) -> None:
    """A response counts once, when all of it is there."""
    loop = asyncio.get_running_loop()
    _, browser = await loop.create_connection(lambda: http.browser.Browser("Reader"), "127.0.0.1", in_pieces)
    told: list[float] = []

    def answered(took: float) -> bool:
        told.append(took)
        return len(told) < 2

    await browser.keep_asking("change", answered)
    browser.close()
    assert (browser.answers, browser.changes, len(told)) == (2, 2, 2)


async def test_server_that_was_not_the_bottleneck_is_told(http: SimpleNamespace) -> None:
    """A figure of the generator's own speed, or of a busy machine's, is marked as such."""
    figures = dict.fromkeys(FIGURES, 1.0)
    rows = [
        {
            "round": 1,
            "contender": name,
            "connections": 8,
            "change": {**figures, "server_cpu_share": server, "generator_cpu_share": 0.9},
            "read": {**figures, "server_cpu_share": 0.95, "generator_cpu_share": 0.4},
        }
        for name, server in {"idle": 0.6, "unknown": None, "busy": 0.99}.items()
    ]
    warnings = http.figures.figures_of({"idle": "", "unknown": "", "busy": ""}, rows)["warnings"]
    assert [warning.partition(":")[0] for warning in warnings if "load generator" in warning] == ["idle", "unknown"]
    assert [warning.partition(":")[0] for warning in warnings if "waited" in warning] == ["idle"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there can the CPU of another process be read")
async def test_cpu_of_a_process_is_what_it_says_itself(http: SimpleNamespace) -> None:
    """The clock that reads another process's CPU agrees with the process."""
    before = time.process_time()
    found = http.clocks.cpu_seconds(os.getpid())
    assert before <= found <= time.process_time()
