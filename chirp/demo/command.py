"""Running `chirp demo`: what is started, and what is said about it."""

from contextlib import ExitStack

from rich.markup import escape

from chirp.commands.shared import screen
from chirp.demo import serving
from chirp.demo.app import create_app
from chirp.embedded import EmbeddedServer
from chirp.redis_url import address_of


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
