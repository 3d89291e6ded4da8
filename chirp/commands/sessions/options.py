"""Options and exit codes of `chirp sessions`, and what its commands do first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from chirp.commands.progress import moving
from chirp.commands.shared import tell_failure
from chirp.errors import ChirpError

if TYPE_CHECKING:
    from chirp.middleware.sessions.directory import SessionInfo
    from chirp.operations.place import Opened, Place

NOTHING_DONE = 1
NOT_ASKED = 2
INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
SCAN = "Looking through the sessions"

USER_KEY, CREATED_AT, SEEN_AT = "user_id", "__created_at", "__last_seen_at"

UserKey = Annotated[str, typer.Option("--user-key", help="The app's user_key, which ties a session to its user.")]
CreatedAt = Annotated[str, typer.Option("--created-at-key", help="The app's created_at_key.")]
SeenAt = Annotated[str, typer.Option("--last-seen-at-key", help="The app's last_seen_at_key.")]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="ID",
        show_default=False,
        help="Whose: quick, since nobody else's is looked at. 5 means the number and the text, '\"5\"' the text.",
    ),
]
Handle = Annotated[str, typer.Argument(metavar="HANDLE", show_default=False, help="As `chirp sessions list` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@contextmanager
def telling(command: str) -> Iterator[None]:
    """Turn what keeps a command from its work into one line and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except ChirpError as error:
        tell_failure(f"sessions {command}", error)
        raise typer.Exit(NOT_ASKED) from None


@contextmanager
def found_at(place: "Place", handle: str, user: str | None) -> Iterator[tuple["Opened", "SessionInfo"]]:
    """Find a session, which is given with the open store.

    Raises:
        ConfigurationError: as `opened` does, or it is no handle.
        StoreUnavailable: the server does not answer.
        typer.Exit: there is no such session.
    """
    from chirp.operations.listing import check_handle, find  # noqa: PLC0415
    from chirp.operations.place import opened  # noqa: PLC0415
    from chirp.operations.users import users_named  # noqa: PLC0415

    check_handle(handle)
    users = [] if user is None else users_named(user)
    with opened(place) as at:
        with moving(SCAN) as advance:
            info = at.run(find(at.store, handle, users, advance))
        if info is None:
            raise not_done(f"there is no live session {handle}{'' if user is None else ' of that user'}")
        yield at, info


def not_done(reason: str) -> typer.Exit:
    """Say why nothing was done, and return what ends the command."""
    tell_failure("sessions", ChirpError(reason))
    return typer.Exit(NOTHING_DONE)
