"""Hypothesis's strategies for hostile values: noise, and what resembles the real thing enough to get further."""

from hostile_seeds import COOKIE, COOKIE_HEADERS, CORRUPT, ID, OTHER_ID, READABLE, URLS, document
from hypothesis import strategies as st

LARGE = 2000  # bytes: changing one of these is no better than changing a small one, and slow

_text = st.text(max_size=12)
_json_text = st.one_of(
    _text.map(lambda text: "".join(f"\\u{ord(each):04x}" for each in text if ord(each) < 0x10000)),
    st.sampled_from(["a", "user_id", "data", "__created_at", "handle", "\\ud83d", "\\u0000", "\\u007f"]),
).map('"{}"'.format)
_numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.sampled_from(
        ["NaN", "-1", "1e400", "-0", "1e15", "9" * 5000, "0." + "3" * 500, "Infinity", "01", "99999999999"]
    ),
)
# JSON as text, so that it may be what no encoder would write: the same key twice, a half pair, numbers without end.
json_text = st.recursive(
    st.one_of(_json_text, _numbers, st.sampled_from(["true", "false", "null", "[" * 250 + "]" * 250])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(_json_text, inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)
_stamps = st.one_of(st.just("1699996000"), _numbers, json_text)


def _document(data: str, created: str, seen: str, handle: str) -> bytes:
    return document(data.encode(), created=created, seen=seen, handle=handle.encode())


documents = st.builds(_document, json_text, _stamps, _stamps, st.one_of(st.just('"abc"'), json_text))
# An envelope in order, so that what is inside gets as far as the handler and the commit.
opened_documents = st.builds(
    document, st.lists(st.tuples(_json_text, json_text), max_size=4).map(lambda pairs: _object(pairs).encode())
)


def _object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Values with a piece cut out, changed, doubled or put in."""
    value = draw(originals)
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
        piece = draw(st.one_of(st.binary(max_size=4), st.just(value[start:end])))
        value = value[:start] + piece + value[draw(st.sampled_from([start, end])) :]
    return value


_tombstones = st.builds(
    b"%s %s".__mod__,
    st.tuples(st.sampled_from([b"moved", b"follow", b"dead"]), st.one_of(st.binary(max_size=70), st.just(b"a" * 64))),
)
stored_values = st.one_of(
    st.binary(max_size=100),
    documents,
    opened_documents,
    _tombstones,
    mutated(st.sampled_from([value for value in READABLE.values() if len(value) < LARGE])),
    st.sampled_from([*READABLE.values(), *CORRUPT.values()]),
)

_cookies = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([COOKIE + b"=" + ID, COOKIE + b"=" + OTHER_ID, COOKIE + b"=x", b" \t", b""]),
    st.builds(b"%s=%s".__mod__, st.tuples(st.just(COOKIE), st.binary(max_size=60))),
    mutated(st.just(COOKIE + b"=" + ID)),
)
cookie_headers = st.lists(
    st.one_of(
        st.lists(_cookies, max_size=5).map(b"; ".join),
        st.lists(_cookies, max_size=5).map(b";".join),
        st.sampled_from(list(COOKIE_HEADERS.values())),
    ),
    max_size=4,
)

urls = st.one_of(
    st.text(max_size=60),
    st.text(max_size=60).map(lambda text: "redis://" + text),
    st.builds("{}://{}:{}@{}:{}/{}?{}={}".format, st.sampled_from(["redis", "rediss", "unix"]), *[_text] * 7),
    mutated(st.sampled_from([url.encode() for url in URLS.values()])).map(lambda url: url.decode("utf-8", "replace")),
    st.sampled_from(list(URLS.values())),
)
