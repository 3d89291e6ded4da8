"""What every target shares: chirp with its branches counted, a corpus made in code, and one event loop."""

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))  # the definition of harm and its seeds, which the tests use as well
with atheris.instrument_imports(include=["chirp", "itsdangerous", "redis.asyncio.connection"]):
    import hostile  # noqa: F401 - the first import of chirp is the one that is instrumented
    import hostile_seeds  # noqa: F401
    import hostile_text  # noqa: F401

TOKENS = [
    *[b"chirp_session=", b"; ", b"Cookie", b"__Host-"],
    *[b'"__created_at":', b'"__last_seen_at":', b'"handle":', b'"data":', b'"user_id":', b"1699996000", b"1e400"],
    *[b"dead", b"moved ", b"follow ", b"0123456789abcdef", b'\\u0000"', b"\\ud800", b'{"a":', b"[[[[", b"]]]]"],
    *[b"redis://", b"rediss://", b"unix://", b"@localhost:", b"?db=", b"&protocol=", b"ssl_cert_reqs=", b"%00"],
]


def fuzz(check: Callable[[bytes], Any], seeds: Iterable[bytes], *, largest: int = 4096) -> None:
    """Hand over to libFuzzer, which ends the process: with an error if `check` has raised one.

    Args:
        check: takes one input; it may be async.
        seeds: inputs to begin with. They are written to the folder that is the program's first argument; what follows
            it are libFuzzer's own options.
        largest: bytes of an input.
    """
    corpus = Path(sys.argv[1])
    for seed in seeds:
        corpus.joinpath(hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    dictionary = corpus.with_suffix(".tokens")
    dictionary.write_text("".join(f'"{_escaped(token)}"\n' for token in TOKENS), "ascii")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    def one(data: bytes) -> None:
        outcome = check(data)
        if isinstance(outcome, Awaitable):
            loop.run_until_complete(outcome)

    atheris.Setup([sys.argv[0], *sys.argv[2:], f"-dict={dictionary}", f"-max_len={largest}", str(corpus)], one)
    atheris.Fuzz()


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)
