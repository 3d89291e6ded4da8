"""What a stored document says about its session beside the data: a lifetime of its own, and the client as last seen.

Pure data and functions; no clock, no I/O.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec.structs import replace

from chirp.middleware.sessions.config import FOUR_HUNDRED_DAYS

LONGEST_USER_AGENT = 256
LONGEST_ADDRESS = 64  # an IPv6 address with its zone has room to spare
# What `_readable` leaves of Latin-1: no controls, neither the no-break space nor the soft hyphen.
READABLE = r"^[ -~\xa1-\xac\xae-\xff]*\Z"

MaxAge: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=FOUR_HUNDRED_DAYS)]
UserAgent: TypeAlias = Annotated[str, msgspec.Meta(max_length=LONGEST_USER_AGENT, pattern=READABLE)]
Address: TypeAlias = Annotated[str, msgspec.Meta(max_length=LONGEST_ADDRESS, pattern=READABLE)]

AboutChange: TypeAlias = Mapping[str, Any]  # by name of a field of `About`: its new value


class About(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is known of one session; a document of whose session all of it is as usual has none.

    Attributes:
        max_age: seconds the session lives unseen; None: the config's.
        persistent: whether the cookie has a Max-Age, and so outlives the browser.
        user_agent: of the client that was seen last, if that is recorded.
        address: the same.
    """

    max_age: MaxAge | None = None
    persistent: bool = True
    user_agent: UserAgent | None = None
    address: Address | None = None


AS_USUAL = About()


def changed(about: About | None, change: AboutChange) -> About | None:
    """Return what stands after a change; None where all is as usual."""
    if not change:
        return about
    after = replace(about or AS_USUAL, **change)
    return None if after == AS_USUAL else after


def client_of(headers: Iterable[tuple[bytes, bytes]], client: object) -> AboutChange:
    """Return the user agent and the address of a request.

    Args:
        headers: as ASGI has them, names in lower case.
        client: of the ASGI scope: a pair of address and port, or None.
    """
    user_agent = next((value for name, value in headers if name == b"user-agent"), None)
    address = client[0] if isinstance(client, tuple | list) and client else None
    return {
        "user_agent": None if user_agent is None else _readable(user_agent[:LONGEST_USER_AGENT].decode("latin-1")),
        "address": _readable(address[:LONGEST_ADDRESS]) if isinstance(address, str) else None,
    }


def _readable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() and character <= "\xff")
