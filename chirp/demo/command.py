"""`chirp demo`: options, messages and exit codes."""

from contextlib import ExitStack
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from chirp.demo import serving
from chirp.demo.app import create_app
from chirp.demo.stored import address_of
from chirp.embedded import EmbeddedServer
from chirp.errors import ChirpError

commands = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
screen = Console(highlight=False, soft_wrap=True)
errors = Console(highlight=False, soft_wrap=True, stderr=True)


@commands.callback()
def chirp() -> None:
    """Sessions for async Python web apps, on Redis or in a signed cookie."""


@commands.command()
def demo(
    redis: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="CHIRP_REDIS_URL",
            show_default=False,
            help="Redis or Valkey to use, as in redis://localhost:6379/0. Without it, an embedded Valkey is started.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 means any free one.")] = 8000,
) -> None:
    """Show a session at work in a small web app: the cookie, what the server holds, and what changes both."""
    try:
        run(redis, host, port)
    except ChirpError as error:
        errors.print(f"[bold red]chirp demo:[/] {escape(str(error))}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        return


def run(redis_url: str | None, host: str, port: int) -> None:
    """Serve the demo until SIGINT or SIGTERM.

    Raises:
        ChirpError: the port cannot be had, or the server does not answer.
        KeyboardInterrupt: a signal came while it was starting.
    """
    serving.interrupt_on_signals()
    with ExitStack() as resources:
        listener = resources.enter_context(serving.listen(host, port))
        if redis_url:
            server = serving.name_of_server(redis_url)
            origin = ""
        else:
            embedded = resources.enter_context(EmbeddedServer())
            redis_url, server = embedded.url, embedded.version
            origin = ", started for this demo"
        app = create_app(redis_url)
        screen.print(f"Sessions are kept in [bold]{escape(server)}[/] at {escape(address_of(redis_url))}{origin}.")
        screen.print(f"Open [bold]{escape(serving.web_address(host, listener))}[/]   (Ctrl-C ends it)")
        serving.serve(app, listener)
