"""The command line, one module for each command: its options, what it prints, and its exit codes.

What a command does is elsewhere, and is imported when the command runs: so each needs only its own extras, and
`chirp secret` starts at once.
"""

import typer

from chirp.commands import check, demo, secret
from chirp.commands.sessions import sessions

__all__ = ["commands"]

commands: typer.Typer = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@commands.callback()
def chirp() -> None:
    """Sessions for async Python web apps, on Redis or in a signed cookie."""


commands.command()(secret.secret)
commands.command()(check.check)
commands.add_typer(sessions, name="sessions")
commands.command()(demo.demo)
