"""The command line: options, the server, files, exit codes."""

import asyncio
import inspect
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from redis.exceptions import RedisError

from benchmarks import results, screen
from benchmarks.benchmark import Benchmark
from benchmarks.contenders.contender import WrongSessionError
from benchmarks.targets import show_targets
from chirp.embedded import EmbeddedServer
from chirp.errors import ChirpError

MODULES = {
    "micro": "benchmarks.micro",
    "asgi": "benchmarks.asgi",
    "http": "benchmarks.http.benchmark",
    "scale": "benchmarks.scale",
    "memory": "benchmarks.memory.benchmark",
    "soak": "benchmarks.soak.benchmark",
}
HELP = {
    "micro": "The store alone: one pooled client, a client per operation, chirp.",
    "asgi": "A request through an app in process, beside a signed cookie, starsessions, Litestar and others.",
    "http": "One uvicorn worker under real load on loopback, with and without sessions, and with peers.",
    "scale": "From 1 to 2,000 requests at once, from 100 bytes to 64 kB a session, from 1 to 3 cluster nodes.",
    "memory": "A million requests, and a million sessions: what they take in the process and in Redis.",
    "soak": "Five minutes of load while servers are killed, frozen, cut off and failed over.",
}
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHARTS = ROOT / "docs" / "charts"

commands = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False, no_args_is_help=True)

RedisOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="CHIRP_REDIS_URL",
        show_default=False,
        help="Redis or Valkey that nobody else uses meanwhile. Without it, an embedded Valkey is started.",
    ),
]
OutOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        show_default="benchmarks/results and docs/charts",
        help="A folder for the results and the chart, or where they are to be without .json, .svg and .png.",
    ),
]
RoundsOption = Annotated[
    int | None, typer.Option(min=1, show_default="of the full or the smoke run", help="Rounds that count.")
]
SmokeOption = Annotated[bool, typer.Option("--smoke", help="A few seconds, to see that everything works.")]


def _register(name: str) -> None:
    @commands.command(name, help=HELP[name])
    def benchmark(
        redis: RedisOption = None, out: OutOption = None, rounds: RoundsOption = None, smoke: SmokeOption = False
    ) -> None:
        if out is None and smoke:
            raise typer.BadParameter("--smoke needs --out: its figures are not to replace those of a full run")
        module = module_of(name)
        settings = module.SMOKE if smoke else module.FULL
        if rounds is not None:
            settings = replace(settings, rounds=rounds)
        file, chart = files(name, out)
        try:
            found = _measure(name, module, settings, redis)
        except (WrongSessionError, ChirpError, RedisError, OSError) as error:
            screen.errors.print(f"benchmarks: {error}", markup=False)
            raise typer.Exit(1) from None
        results.write(file, found)
        module.show(found)
        module.draw(found, chart)
        screen.console.print(f"\nwritten to {file}, drawn to {chart}.svg and .png", markup=False)


for _name in MODULES:
    _register(_name)


@commands.command()
def charts() -> None:
    """Draw the charts again, from the files of the last full runs."""
    for name in MODULES:
        file, chart = files(name, None)
        if file.exists():
            module_of(name).draw(json.loads(file.read_text(encoding="utf-8")), chart)
            screen.console.print(f"drawn to {chart}.svg and .png", markup=False)


@commands.command()
def targets() -> None:
    """Show each target beside the figure of the last full run."""
    show_targets(RESULTS)


@commands.command()
def documents() -> None:
    """Fill the figures of the last full runs into the pages of docs/."""
    from benchmarks.documents import DocumentError, fill_documents  # noqa: PLC0415 - it needs every peer

    try:
        pages = fill_documents(ROOT, RESULTS)
    except DocumentError as error:
        screen.errors.print(f"benchmarks: {error}", markup=False)
        raise typer.Exit(1) from None
    for page in pages:
        screen.console.print(f"filled {page}", markup=False)


def module_of(name: str) -> Benchmark:
    """Return the command's module; imported only when asked for, since each has peers of its own."""
    return cast("Benchmark", import_module(MODULES[name]))


def files(name: str, out: str | None) -> tuple[Path, Path]:
    """Return where the results go, and the chart's path without a suffix."""
    if out is None:
        return RESULTS / f"{name}.json", CHARTS / name
    path = Path(out)
    if path.is_dir() or out.endswith(("/", os.sep)):
        path /= name
    elif path.suffix in (".json", ".svg", ".png"):
        path = path.with_suffix("")
    return path.with_name(f"{path.name}.json"), path


def _measure(name: str, module: Benchmark, settings: Any, redis_url: str | None) -> dict[str, Any]:
    with ExitStack() as resources:
        if redis_url is None:
            redis_url = resources.enter_context(EmbeddedServer()).url
        bar = resources.enter_context(screen.progress())
        task = bar.add_task(name, total=module.steps(settings))
        return _finished(module.run, settings, redis_url, lambda: bar.advance(task))


def _finished(run: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Run it, whether it is a coroutine or starts processes and waits for them."""
    found = run(*args)
    return asyncio.run(found) if inspect.iscoroutine(found) else found
