"""The command line: options, the server, exit codes."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from redis.exceptions import RedisError

from benchmarks import results, screen
from benchmarks.contenders.contender import WrongSessionError
from benchmarks.rounds import SMOKE, Settings, turns_of
from benchmarks.run import run
from benchmarks.scenarios import SCENARIOS
from chirp.embedded import EmbeddedServer
from chirp.errors import ChirpError

FIRST = Path(__file__).parent / "results" / "first.json"
FULL = Settings()

commands = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@commands.command()
def benchmarks(
    redis: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="CHIRP_REDIS_URL",
            show_default=False,
            help="Redis or Valkey that nobody else uses meanwhile. Without it, an embedded Valkey is started.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(show_default="benchmarks/results/first.json", help="The file for the results.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, show_default=str(FULL.rounds), help="Rounds that count.")] = None,
    tasks: Annotated[
        str | None,
        typer.Option(show_default=",".join(map(str, FULL.tasks)), help="Tasks at once, one number after the other."),
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="A few seconds, to see that everything works.")] = False,
) -> None:
    """Measure this package's sessions beside others: the store alone, and a request through an app in process."""
    settings = SMOKE if smoke else FULL
    if rounds is not None:
        settings = replace(settings, rounds=rounds)
    if tasks is not None:
        settings = replace(settings, tasks=_numbers(tasks))
    if out is None:
        if smoke:
            raise typer.BadParameter("--smoke needs --out: its figures are not to replace those of a full run")
        out = FIRST
    try:
        found = _measure(settings, redis)
    except (WrongSessionError, ChirpError, RedisError, OSError) as error:
        screen.errors.print(f"benchmarks: {error}", markup=False)
        raise typer.Exit(1) from None
    results.write(out, found)
    screen.show(found)
    screen.console.print(f"\nwritten to {out}", markup=False)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(1 <= number <= 1000 for number in numbers):
        raise typer.BadParameter(f"--tasks {text}: must be numbers from 1 to 1000, as in 1,20,100")
    return numbers


def _measure(settings: Settings, redis_url: str | None) -> dict[str, Any]:
    with ExitStack() as resources:
        if redis_url is None:
            redis_url = resources.enter_context(EmbeddedServer()).url
        bar = resources.enter_context(screen.progress())
        bars = {one.name: bar.add_task(one.name, total=turns_of(one, settings)) for one in SCENARIOS}
        return asyncio.run(run(SCENARIOS, settings, redis_url, lambda name: bar.advance(bars[name])))
