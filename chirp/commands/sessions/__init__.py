"""`chirp sessions`: see which sessions there are and whose they are, and end some of them."""

import typer

from chirp.commands.sessions import ending, looking

__all__ = ["sessions"]

NAMES = {"ignore_unknown_options": True}  # one handle in 64 begins with a dash, as negative numbers do

sessions: typer.Typer = typer.Typer(
    no_args_is_help=True, help="See which sessions there are and whose they are, and end some."
)

sessions.command()(looking.stats)
sessions.command("list")(looking.list_)
sessions.command(context_settings=NAMES)(looking.show)
sessions.command(context_settings=NAMES)(ending.revoke)
sessions.command("revoke-user", context_settings=NAMES)(ending.revoke_user)
