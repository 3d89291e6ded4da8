"""`chirp sessions stats`, `list` and `show`: what they print."""

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from chirp.commands.progress import console_of_rows, moving, seen
from chirp.commands.sessions.options import (
    CREATED_AT,
    SCAN,
    SEEN_AT,
    USER_KEY,
    CreatedAt,
    Handle,
    SeenAt,
    User,
    UserKey,
    found_at,
    not_done,
    telling,
)
from chirp.commands.shared import LOCAL_REDIS, PREFIX, AsJson, KeyPrefix, RedisUrl, errors, screen

if TYPE_CHECKING:
    from chirp.operations.listing import Advance


def stats(
    *,
    redis: RedisUrl = LOCAL_REDIS,
    prefix: KeyPrefix = PREFIX,
    user_key: UserKey = USER_KEY,
    created_at_key: CreatedAt = CREATED_AT,
    last_seen_at_key: SeenAt = SEEN_AT,
    as_json: AsJson = False,
) -> None:
    """Count all sessions: of how many users, how large, how old, and when they were last seen."""
    with telling("stats"):
        from chirp.operations.place import Place, opened  # noqa: PLC0415 - with the extra `redis`, as in `check`
        from chirp.operations.stats import take  # noqa: PLC0415
        from chirp.operations.words import to_json  # noqa: PLC0415

        place = Place(redis, prefix, user_key, created_at_key, last_seen_at_key)
        with opened(place) as at:
            with moving(SCAN) as advance:
                found = at.run(take(at.store, advance))
            memory = at.memory()
        if as_json:
            typer.echo(to_json(found.as_json(memory), indent=2))
        else:
            screen.print(found.as_table(memory), soft_wrap=False)


def list_(
    *,
    user: User = None,
    limit: Annotated[int | None, typer.Option(min=1, show_default=False, help="Stop after so many.")] = None,
    redis: RedisUrl = LOCAL_REDIS,
    prefix: KeyPrefix = PREFIX,
    user_key: UserKey = USER_KEY,
    created_at_key: CreatedAt = CREATED_AT,
    last_seen_at_key: SeenAt = SEEN_AT,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document for each, in a line.")] = False,
) -> None:
    """List sessions, those of a user or all: handle, user, when they began, were last seen and will end, and size.

    Without --user they come in no order, and one that is stored anew meanwhile may come twice.
    """
    with telling("list"):
        from chirp.operations.place import Place, opened  # noqa: PLC0415
        from chirp.operations.users import users_named  # noqa: PLC0415

        users = [] if user is None else users_named(user)
        place = Place(redis, prefix, user_key, created_at_key, last_seen_at_key)
        with opened(place) as at, moving(SCAN, console=console_of_rows()) as advance:
            printed = at.run(print_rows(at.store, users, limit, advance, as_json=as_json))
        if printed == limit:
            errors.print(f"Stopped at --limit {limit}.")
        elif not printed:
            errors.print("There are no sessions.")


async def print_rows(store: Any, users: list[Any], limit: int | None, advance: "Advance", *, as_json: bool) -> int:
    """Print sessions as they are found; return how many."""
    from chirp.operations.listing import HEADING, listed  # noqa: PLC0415
    from chirp.operations.words import to_json  # noqa: PLC0415

    printed = 0
    async with aclosing(listed(store, users, advance)) as found:
        async for rows in found:
            chosen = rows if limit is None else rows[: limit - printed]
            if chosen and not printed and not as_json:
                print_line(HEADING)
            if chosen:
                print_line("\n".join(to_json(row.as_json()) if as_json else row.as_line() for row in chosen))
            printed += len(chosen)
            if printed == limit:
                break
    return printed


def print_line(text: str) -> None:
    """Print text above the bar, where there is one; nothing in it is markup."""
    if seen(screen):
        screen.print(Text(text))
    else:
        sys.stdout.write(f"{text}\n")


def show(
    handle: Handle,
    *,
    user: User = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="Print what the app keeps in it, too: it may be private.")
    ] = False,
    redis: RedisUrl = LOCAL_REDIS,
    prefix: KeyPrefix = PREFIX,
    user_key: UserKey = USER_KEY,
    created_at_key: CreatedAt = CREATED_AT,
    last_seen_at_key: SeenAt = SEEN_AT,
    as_json: AsJson = False,
) -> None:
    """Show one session. Exit code 1: there is no such session."""
    with telling("show"):
        from chirp.operations import words  # noqa: PLC0415
        from chirp.operations.listing import rows_of  # noqa: PLC0415
        from chirp.operations.place import Place  # noqa: PLC0415

        place = Place(redis, prefix, user_key, created_at_key, last_seen_at_key)
        with found_at(place, handle, user) as (at, info):
            rows = at.run(rows_of(at.store, [info]))
            data = at.run(at.store.read_data(info)) if contents else None
        if not rows or (contents and data is None):
            raise not_done("the session has just ended")
        if as_json:
            typer.echo(words.to_json(rows[0].as_json() | ({"contents": data} if contents else {}), indent=2))
            return
        screen.print(rows[0].as_table(), soft_wrap=False)
        if contents:
            screen.print(Text(words.contents(data)))
