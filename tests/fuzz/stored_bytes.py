"""Target: what stands under a session's key; the first byte tells what the handler does with it."""

from collections.abc import Awaitable

from fuzzing import fuzz
from hostile import HANDLERS, PLACE, check_stored
from hostile_seeds import stored_values

NAMES = list(HANDLERS)


def check(data: bytes) -> Awaitable[None]:
    return check_stored(PLACE, data[1:], [NAMES[data[0] % len(NAMES)]] if data else NAMES)


fuzz(check, [bytes([number]) + value for value in stored_values() for number in range(len(NAMES))])
