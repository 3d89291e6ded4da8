"""Target: what stands under a session's key; the first byte tells since when, and what the handler does with it."""

from collections.abc import Awaitable

from fuzzing import fuzz
from hostile import HANDLERS, PLACE, check_replaced, check_stored
from hostile_seeds import stored_values

WAYS = [(check, name) for check in (check_stored, check_replaced) for name in HANDLERS]


def one(data: bytes) -> Awaitable[None]:
    check, name = WAYS[data[0] % len(WAYS) if data else 0]
    return check(PLACE, data[1:], [name])


fuzz(one, [bytes([number]) + value for value in stored_values() for number in range(len(WAYS))])
