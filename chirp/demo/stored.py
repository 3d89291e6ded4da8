"""What Redis holds for one session, read with a client of the demo's own, as an operator would look."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_token = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"(?=:))|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)"""
)


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands under one key.

    Attributes:
        key: name of the key.
        seconds: TTL in seconds; None when the key does not exist.
        document: the value, indented if it is JSON; empty when the key does not exist.
        problem: why the key could not be read; empty when it could.
    """

    key: str
    seconds: int | None = None
    document: str = ""
    problem: str = ""

    def pieces(self) -> Iterator[tuple[str, str]]:
        """Split the document into (kind, text) pairs for highlighting; joined, the texts are the document."""
        end = 0
        for match in _token.finditer(self.document):
            if match.start() > end:
                yield "", self.document[end : match.start()]
            yield str(match.lastgroup), match.group()
            end = match.end()
        if end < len(self.document):
            yield "", self.document[end:]


async def read_stored(client: "Redis", key: str) -> Stored:
    """Read the value and the TTL of `key` in one round trip; a failure is reported, never raised."""
    try:
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.get(key)
            pipeline.ttl(key)
            value, seconds = await pipeline.execute()
    except (RedisError, OSError) as error:
        return Stored(key, problem=f"Redis did not hand it out ({type(error).__name__}).")
    if value is None:
        return Stored(key)
    return Stored(key, seconds=seconds, document=indent(value))


def indent(value: bytes) -> str:
    """Return JSON with two spaces a level, and anything else as readable text."""
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return value.decode("utf-8", "backslashreplace")
