"""`chirp sessions revoke` and `revoke-user`: what they ask before something ends, and what they print."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.text import Text

from chirp.commands.sessions.options import (
    CREATED_AT,
    SEEN_AT,
    USER_KEY,
    CreatedAt,
    Handle,
    SeenAt,
    User,
    UserKey,
    Yes,
    found_at,
    not_done,
    telling,
)
from chirp.commands.shared import LOCAL_REDIS, PREFIX, AsJson, KeyPrefix, RedisUrl, errors, screen
from chirp.errors import ConfigurationError, StoreUnavailable


def revoke(
    handle: Handle,
    *,
    user: User = None,
    yes: Yes = False,
    redis: RedisUrl = LOCAL_REDIS,
    prefix: KeyPrefix = PREFIX,
    user_key: UserKey = USER_KEY,
    created_at_key: CreatedAt = CREATED_AT,
    last_seen_at_key: SeenAt = SEEN_AT,
    as_json: AsJson = False,
) -> None:
    """End one session. Exit code 1: there is no such session, or the answer was no."""
    with telling("revoke"):
        from chirp.operations.place import Place  # noqa: PLC0415
        from chirp.operations.words import to_json, user_text  # noqa: PLC0415

        must_be_able_to_ask(yes=yes)
        place = Place(redis, prefix, user_key, created_at_key, last_seen_at_key)
        with found_at(place, handle, user) as (at, info):
            whose = "without a user" if info.user_id is None else f"of user {user_text(info.user_id)}"
            agreed(f"End the session {handle} {whose}?", yes=yes)
            with saying_what_goes_on():
                ended = int(at.run(at.store.revoke_found(info)))
        if as_json:
            typer.echo(to_json({"ended": ended, "handle": handle}))
        else:
            screen.print("Ended 1 session." if ended else "It had ended meanwhile.")


def revoke_user(
    user: Annotated[
        str,
        typer.Argument(
            metavar="ID", show_default=False, help='The user\'s id. 5 means the number and the text, "5" the text.'
        ),
    ],
    *,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="HANDLE", show_default=False, help="A session that goes on.")
    ] = None,
    yes: Yes = False,
    redis: RedisUrl = LOCAL_REDIS,
    prefix: KeyPrefix = PREFIX,
    user_key: UserKey = USER_KEY,
    created_at_key: CreatedAt = CREATED_AT,
    last_seen_at_key: SeenAt = SEEN_AT,
    as_json: AsJson = False,
) -> None:
    """End the sessions of a user on every device. Exit code 1: the one to keep is not there, or the answer was no."""
    with telling("revoke-user"):
        from chirp.operations.listing import check_handle  # noqa: PLC0415
        from chirp.operations.place import Place, opened  # noqa: PLC0415
        from chirp.operations.users import users_named  # noqa: PLC0415
        from chirp.operations.words import to_json  # noqa: PLC0415

        must_be_able_to_ask(yes=yes)
        users = users_named(user)
        if keep is not None:
            check_handle(keep)
        with opened(Place(redis, prefix, user_key, created_at_key, last_seen_at_key)) as at:
            if keep is not None or not yes:
                listed = [at.run(at.store.list_sessions(each)) for each in users]
                ending = [sum(info.handle != keep for info in infos) for infos in listed]
                if keep is not None and sum(ending) == sum(map(len, listed)):
                    raise not_done(f"the user has no session {keep} to keep, so nothing was ended")
                unread = "" if any(ending) else ", and any that cannot be read with these settings"
                agreed(f"End {numbers(ending, users)}{unread}?", yes=yes)
            with saying_what_goes_on():
                ended = [at.run(at.store.revoke_user(each, keep=keep)) for each in users]
        if as_json:
            each = [{"user_id": one, "ended": count} for one, count in zip(users, ended, strict=True)]
            typer.echo(to_json({"ended": sum(ended), "users": each, "kept": keep}))
        else:
            screen.print(Text(f"Ended {numbers(ended, users)}."))


@contextmanager
def saying_what_goes_on() -> Iterator[None]:
    """Add to what keeps sessions from being ended that some of them may not have been.

    Raises:
        StoreUnavailable: as it was raised, with that.
    """
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{error}; sessions may go on, so run it again") from error.__cause__


def numbers(counts: Sequence[int], users: Sequence[Any]) -> str:
    """Return how many sessions of each user it is, as in `3 sessions of user 5, 1 session of user "5"`."""
    from chirp.operations.words import plural, user_text  # noqa: PLC0415

    return ", ".join(
        f"{plural(count, 'session')} of user {user_text(user)}" for count, user in zip(counts, users, strict=True)
    )


def must_be_able_to_ask(*, yes: bool) -> None:
    """Refuse early what would have to be asked where nobody can answer.

    Raises:
        ConfigurationError: there is no terminal.
    """
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError("nothing was ended: there is no terminal to ask at, so it needs --yes")


def agreed(question: str, *, yes: bool) -> None:
    """Ask, unless that was said before; anything but a yes ends the command.

    Raises:
        typer.Exit: the answer was no.
    """
    if yes:
        return
    errors.print(Text(f"{question} [y/N] "), end="")
    answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise not_done("nothing was ended")
