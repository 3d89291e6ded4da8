"""`chirp sessions`: see which sessions there are and whose they are, and end some of them."""

import typer

from chirp.commands.sessions import ending, looking

__all__ = ["sessions"]

sessions = typer.Typer(no_args_is_help=True, help="See which sessions there are and whose they are, and end some.")

sessions.command()(looking.stats)
sessions.command("list")(looking.list_)
sessions.command()(looking.show)
sessions.command()(ending.revoke)
sessions.command("revoke-user")(ending.revoke_user)
