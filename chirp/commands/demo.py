"""`chirp demo`: options, and what is said when it cannot start."""

from typing import Annotated

import typer

from chirp.commands.shared import tell_failure
from chirp.errors import ChirpError


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
        from chirp.demo.command import run  # noqa: PLC0415 - with the extra `demo`, which other commands need not have

        run(redis, host, port)
    except ChirpError as error:
        tell_failure("demo", error)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        return
