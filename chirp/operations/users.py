"""Users as a command line names them."""

from contextlib import suppress
from typing import Any

import msgspec

from chirp.errors import ConfigurationError, SessionNotSerializable
from chirp.middleware.sessions.codec import encode_user


def users_named(text: str) -> list[Any]:
    """Return the ids that a text may mean: the text itself and, where it is JSON, the value that it spells.

    So 5 means the text "5" and the number 5, which are two users, and "5" with its quotes the text alone.

    Raises:
        ConfigurationError: no user can have such an id.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError("the user's id is not text in UTF-8") from None
    users: list[Any] = [text]
    with suppress(msgspec.MsgspecError, ValueError, RecursionError, SessionNotSerializable):
        value = msgspec.json.decode(text)
        spelt = encode_user(value)
        # Of numbers only as they are stored: one with more digits than a float has would mean another user.
        if spelt is not None and (
            not isinstance(value, int | float) or spelt == encode_user(msgspec.Raw(text.encode()))
        ):
            users.append(value)
    return users
