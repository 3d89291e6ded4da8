"""Target: a signed cookie. The first byte tells whether the rest is the cookie itself, or what somebody has signed."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable

from fuzzing import fuzz
from hostile_seeds import stored_values
from hostile_text import check_signed_cookie, genuine_cookie, sign, signed_document

WAYS: list[Callable[[bytes], Awaitable[None]]] = [
    lambda data: check_signed_cookie(data.decode("latin-1")),
    lambda data: check_signed_cookie(signed_document(data), forged=True),
    lambda data: check_signed_cookie(signed_document(data, compressed=True), forged=True),
    lambda data: check_signed_cookie(sign(data.replace(b".", b"")).strip(), forged=True),
]


def check(data: bytes) -> Awaitable[None]:
    return WAYS[data[0] % len(WAYS) if data else 0](data[1:])


genuine = asyncio.run(genuine_cookie()).encode()
values = [value for value in stored_values() if len(value) < 3000]
fuzz(
    check,
    [
        b"\0" + genuine,
        b"\3" + genuine,
        *(b"\1" + value for value in values),
        *(b"\2" + zlib.compress(v) for v in values),
    ],
)
