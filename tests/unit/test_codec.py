"""Documents and tombstones: what cannot be read is corrupt and no more."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_kit import config_with

from chirp.errors import SessionTooLarge
from chirp.middleware.sessions.about import About
from chirp.middleware.sessions.codec import (
    Codec,
    Tombstone,
    decode_data,
    encode_data,
    is_document,
    read_tombstone,
    write_tombstone,
)
from chirp.middleware.sessions.fidelity import check_faithful

codec = Codec(config_with())


HASH = "ab" * 32


def through(session: dict[str, Any]) -> dict[str, Any]:
    """Store and load."""
    data = encode_data(session)
    check_faithful(session, data)
    document = codec.encode(created_at=1.5, last_seen_at=2.5, handle="h", data=data)
    opened = codec.decode(document)
    assert opened is not None
    return opened.data


def envelope(data: str = "{}", **more: Any) -> bytes:
    fields = {"__created_at": 1.0, "__last_seen_at": 1.0, "handle": "h", **more}
    return (json.dumps(fields)[:-1] + f', "data": {data}}}').encode()


@given(st.binary(max_size=80))
def test_noise_never_raises(noise: bytes) -> None:
    """Promise 12: bytes that are no document are corrupt, whatever they are."""
    assert codec.decode(noise) is None


@given(st.data())
def test_a_damaged_document_never_raises(draw: st.DataObject) -> None:
    """Promise 12: cut, changed and doubled bytes make a corrupt document or another one, no error."""
    document = codec.encode(created_at=1, last_seen_at=2, handle="h", data=b'{"a":[1,{"b":"\xc3\xa9"}]}')
    at = draw.draw(st.integers(0, len(document)))
    upto = draw.draw(st.integers(0, len(document)))
    opened = codec.decode(document[:at] + draw.draw(st.binary(max_size=3)) + document[upto:])
    assert opened is None or isinstance(opened.data, dict)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\x80\x04K\x01.",
        envelope(handle=5),
        envelope(__created_at="1"),
        envelope(__created_at=-1),
        envelope(__created_at=1e300),
        envelope(__last_seen_at=1e12),
        envelope(__last_seen_at=None),
        envelope("[]"),
        envelope("null"),
        envelope(about=5),
        envelope(about=[]),
        envelope(about={"max_age": 0}),
        envelope(about={"max_age": -1}),
        envelope(about={"max_age": 400 * 86400 + 1}),
        envelope(about={"max_age": 1.5}),
        envelope(about={"max_age": "60"}),
        envelope(about={"persistent": None}),
        envelope(about={"persistent": 1}),
        envelope(about={"user_agent": "x" * 257}),
        envelope(about={"user_agent": "a\x1b[31m"}),
        envelope(about={"user_agent": "a\n"}),
        envelope(about={"user_agent": "a\u202e"}),
        envelope(about={"address": "x" * 65}),
        envelope(about={"address": "::1\n"}),
        envelope('{"a":"\\ud800"}'),
        envelope('{"a":1e400}'),
        envelope('{"a":NaN}'),
        envelope()[:-1],
        envelope() + b"x",
        b" " + envelope(),
        b'{"created_at":1,"last_seen_at":1,"handle":"h","data":{}}',
        envelope("[" * 100_000 + "]" * 100_000),
        envelope('{"a":' + "9" * 5000 + "}"),
    ],
)
def test_corrupt_and_foreign_documents_are_none(value: bytes) -> None:
    """Promise 12: invalid UTF-8, other types, senseless stamps and limits, too deep or long, white space first."""
    assert codec.decode(value) is None


def test_a_document_deeper_than_could_be_written_is_corrupt() -> None:
    """Decoded, it could meet the recursion limit when it is encoded again at the end of the request."""
    deep = "[" * 500 + "]" * 500
    assert codec.decode(envelope(f'{{"a":{deep}}}')) is None


def test_a_sound_envelope_is_read() -> None:
    """The makings of the corrupt ones above are not what makes them corrupt."""
    opened = codec.decode(envelope('{"a":1}'))
    assert opened is not None
    assert (opened.created_at, opened.handle, opened.data) == (1.0, "h", {"a": 1})


@pytest.mark.parametrize(
    "about",
    [
        About(max_age=1),
        About(max_age=400 * 86400, persistent=False),
        About(user_agent="\xe9" * 256, address="x" * 64),
        About(user_agent=""),
    ],
)
def test_what_is_said_beside_the_data_comes_back(about: About) -> None:
    """Up to its limits."""
    opened = codec.decode(codec.encode(created_at=1, last_seen_at=2, handle="h", data=b'{"a":1}', about=about))
    assert opened is not None
    assert (opened.about, opened.data) == (about, {"a": 1})


@pytest.mark.parametrize("about", [{}, {"about": None}, {"about": {}}, {"about": {"unknown": 1}}])
def test_a_document_that_says_nothing_beside_the_data_is_sound(about: dict[str, Any]) -> None:
    """Those of former versions do not, and those of later ones may say more."""
    opened = codec.decode(envelope(**about))
    assert opened is not None
    assert opened.about in (None, About())


def test_a_document_about_which_all_is_as_usual_says_nothing() -> None:
    """It takes no room."""
    document = codec.encode(created_at=1, last_seen_at=2, handle="h", data=b"{}")
    assert list(json.loads(document)) == ["__created_at", "__last_seen_at", "handle", "data"]


@pytest.mark.parametrize("spelt", ["by this codec", "by another program"])
def test_replacing_the_data_keeps_what_is_said_beside_it(spelt: str) -> None:
    """However the document is spelt."""
    about = About(max_age=60)
    document = codec.encode(created_at=1, last_seen_at=2, handle="h", data=b'{"a":1}', about=about)
    if spelt == "by another program":
        document = document.replace(b",", b" , ")
    opened = codec.decode(codec.replace_data(document, b'{"a":1}', b'{"b":2}'))
    assert opened is not None
    assert (opened.about, opened.data) == (about, {"b": 2})


def test_the_stamps_stand_under_their_configured_names() -> None:
    """Where other programs look for them."""
    named = Codec(config_with(created_at_key="born", last_seen_at_key="seen"))
    document = json.loads(named.encode(created_at=1.5, last_seen_at=2.5, handle="h", data=b'{"a":1}'))
    assert document == {"born": 1.5, "seen": 2.5, "handle": "h", "data": {"a": 1}}


def test_a_users_key_never_meets_the_envelope() -> None:
    """Keys named as the stamps, the handle or the data are the user's own."""
    own = {"__created_at": "x", "__last_seen_at": 1, "handle": 2, "data": {}, "__anything": None}
    assert through(own) == own


def test_a_document_of_max_bytes_is_allowed() -> None:
    """And one byte more is refused, with size and limit."""
    size = len(codec.encode(created_at=1, last_seen_at=2, handle="h", data=b'{"a":"xx"}'))
    small = Codec(config_with(max_bytes=256))
    filling = "x" * (256 - size + 2)
    assert len(small.encode(created_at=1, last_seen_at=2, handle="h", data=f'{{"a":"{filling}"}}'.encode())) == 256
    with pytest.raises(SessionTooLarge, match="257 bytes: max_bytes is 256") as raised:
        small.encode(created_at=1, last_seen_at=2, handle="h", data=f'{{"a":"{filling}x"}}'.encode())
    assert (raised.value.size, raised.value.limit) == (257, 256)


def test_remaking_never_lowers_last_seen_at() -> None:
    """The clock of the other host may be ahead."""
    envelope = codec.decode(codec.encode(created_at=1, last_seen_at=20, handle="h", data=b"{}"))
    assert envelope is not None
    remade = codec.remake(envelope, data=b"{}", last_seen_at=10, about={})
    assert remade[0].last_seen_at == 20


@pytest.mark.parametrize(
    ("last_seen_at", "user_agent"), [(None, "old"), (20, "new")], ids=["a change of data alone", "one that slides"]
)
def test_remaking_says_something_else_beside_the_data_only_if_it_slides(
    last_seen_at: float | None, user_agent: str
) -> None:
    """The rest of it stays in either case."""
    before = About(max_age=60, user_agent="old")
    envelope = codec.decode(codec.encode(created_at=1, last_seen_at=2, handle="h", data=b"{}", about=before))
    assert envelope is not None
    change = {"user_agent": "new"}
    remade, document = codec.remake(envelope, data=b'{"a":1}', last_seen_at=last_seen_at, about=change)
    assert remade.about == About(max_age=60, user_agent=user_agent)
    opened = codec.decode(document)
    assert opened is not None
    assert opened.about == remade.about


@pytest.mark.parametrize("tombstone", [Tombstone(), Tombstone(HASH), Tombstone(HASH, follow=True)])
def test_a_tombstone_comes_back(tombstone: Tombstone) -> None:
    """With its successor, and whether it may be followed."""
    assert read_tombstone(write_tombstone(tombstone)) == tombstone


@pytest.mark.parametrize(
    "value", [b"", b"DEAD", b"dead\n", b"moved", b"moved " + b"g" * 64, b"moved " + b"a" * 63, b"{}", b"\xff"]
)
def test_anything_else_is_no_tombstone(value: bytes) -> None:
    """A foreign value leads nowhere, and names no key outside the prefix."""
    assert read_tombstone(value) is None


@pytest.mark.parametrize("tombstone", [Tombstone(), Tombstone(HASH)])
def test_a_tombstone_is_no_document(tombstone: Tombstone) -> None:
    """The first byte tells them apart."""
    assert (is_document(write_tombstone(tombstone)), is_document(envelope())) == (False, True)


@pytest.mark.parametrize(
    ("left", "right", "differs"),
    [
        (b'{"k":1}', b'{"k":1}', False),
        (b'{"k":1}', b'{"k":true}', True),
        (b'{"k":"\\u0061"}', b'{"k":"a"}', False),
        (b'{"k":[ 1e1]}', b'{"k":[10.0]}', False),
        (b'{"k":10}', b'{"k":10.0}', True),
        (b'{"k":1}', b"{}", True),
        (b"{}", b'{"k":null}', True),
        (b'{"k":1,"o":1}', b'{"k":1,"o":2}', False),
    ],
)
def test_whether_the_user_differs_is_told_by_its_encoded_value(left: bytes, right: bytes, *, differs: bool) -> None:
    """True is not 1, null is not absent, and another program's spelling is no other user."""
    by_key = Codec(config_with(user_key="k"))
    assert by_key.user_differs(left, right) is differs


def test_encoding_is_the_inverse_of_decoding() -> None:
    """So that an unchanged session has the bytes it was loaded with."""
    data = encode_data({"b": 1, "a": [True, None, "é", 1.5]})
    assert encode_data(decode_data(data)) == data
