"""What commands have in common: where they print, and the options that several of them have."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

screen: Console = Console(highlight=False, soft_wrap=True)
errors: Console = Console(highlight=False, soft_wrap=True, stderr=True)

RedisUrl = Annotated[
    str,
    typer.Option(
        "--redis",
        metavar="URL",
        envvar="CHIRP_REDIS_URL",
        help="Redis or Valkey to ask: redis://, rediss:// for TLS, or unix://; of a cluster, any node.",
    ),
]
KeyPrefix = Annotated[str, typer.Option("--prefix", help="The store's key_prefix, with which its keys begin.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]

LOCAL_REDIS = "redis://localhost:6379/0"
PREFIX = "chirp:session:"


def tell_failure(command: str, failure: Exception) -> None:
    """Write one line about what kept a command from its work."""
    errors.print(f"[bold red]chirp {command}:[/] {escape(str(failure))}")
