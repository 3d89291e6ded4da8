"""The command line: options, the table, exit codes."""

import asyncio
import platform
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table

from benchmarks import environment, results, screen
from benchmarks.instructions import budget
from benchmarks.instructions.child import CONTENDERS
from benchmarks.instructions.counting import FAST, CountingError, Settings, count, valgrind_version
from benchmarks.instructions.figures import results_of
from chirp.embedded import EmbeddedServer
from chirp.errors import ChirpError

COMMITTED = Path(__file__).parent.parent / "results" / "instructions.json"

commands = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@commands.command()
def instructions(
    out: Annotated[
        Path | None, typer.Option(show_default="benchmarks/results/instructions.json", help="The file for the results.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Half a minute, for work on the code; writes no file without --out.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Leave callgrind's files there, for callgrind_annotate."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fail when chirp on Redis adds more than benchmarks/budget.toml allows.")
    ] = False,
) -> None:
    """Count the instructions per request of an app in process: no sessions, a signed cookie, chirp on Redis."""
    if fast and check:
        raise typer.BadParameter("--check needs a full run: the budget is for its figures, which --fast does not reach")
    settings = FAST if fast else Settings()
    if out is None and not fast:
        out = COMMITTED
    try:
        limits = budget.read(budget.COMMITTED) if check else {}
        found = _count(settings, keep)
    except (budget.BudgetError, CountingError, ChirpError, OSError) as error:
        _fail(str(error))
    _show(found)
    if out is not None:
        results.write(out, found)
        screen.console.print(f"\nwritten to {out}", markup=False)
    if messages := budget.exceeded(found["counts"], limits):
        _fail("\n".join(messages))


def _fail(message: str) -> NoReturn:
    screen.errors.print(f"benchmarks.instructions: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(1) from None


def _count(settings: Settings, keep: Path | None) -> dict[str, Any]:
    valgrind = valgrind_version()
    with EmbeddedServer() as server:
        versions = environment.versions(server.version)
    versions |= {"compiler": platform.python_compiler(), "valgrind": valgrind.removeprefix("valgrind-")}
    with screen.progress() as bar:
        processes = bar.add_task("processes under valgrind", total=settings.runs * len(CONTENDERS))
        blocks = asyncio.run(count(settings, keep, lambda: bar.advance(processes)))
    return results_of(blocks, settings, versions)


def _show(found: dict[str, Any]) -> None:
    settings, versions = found["settings"], found["versions"]
    screen.console.print(
        f"{versions['server']}, {versions['python']}, redis-py {versions['redis']}, hiredis {versions['hiredis']}, "
        f"Starlette {versions['starlette']}, valgrind {versions['valgrind']}; {settings['tasks']} tasks at once, "
        f"processes: {settings['runs']}, blocks in each: {settings['blocks']}, requests in each: "
        f"{settings['tasks'] * settings['times']:,}\n"
    )
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in ("action", "contender"):
        table.add_column(column)
    for column in ("instructions", "spread", "added", "ratio", "from", "to", "MGET", "EVALSHA"):
        table.add_column(column, justify="right", no_wrap=True)
    for action, counts in found["counts"].items():
        for name, counted in counts["contenders"].items():
            table.add_row(action, name, *_cells(counted), *_sent(counted))
        ratio = counts["ratio"]
        table.add_row(
            action, "chirp / signed cookie", "", "", "", *(f"{ratio[each]:.3f}" for each in ("median", "least", "most"))
        )
        table.add_section()
    screen.console.print(table)


def _cells(counted: dict[str, Any]) -> tuple[str, ...]:
    median = counted["instructions"]["median"]
    return f"{median:,.0f}", f"{counted['spread_percent']:.2f} %", f"{counted['added']:,.0f}", "", "", ""


def _sent(counted: dict[str, Any]) -> list[str]:
    """Give how often the commands were sent in a block: one number if it was the same in all of them."""
    cells = []
    for name in ("mget", "evalsha"):
        sent = counted["commands_per_block"].get(name, {"least": 0, "most": 0})
        same = sent["least"] == sent["most"]
        cells.append(f"{sent['least']}" if same else f"{sent['least']}-{sent['most']}")
    return cells
