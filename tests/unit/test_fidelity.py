"""What is stored comes back as it was, or is refused with the path to what would not."""

import datetime as dt
import decimal
import enum
import json
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_kit import config_with

from chirp.errors import SessionNotSerializable
from chirp.middleware.sessions.codec import (
    Codec,
    encode_data,
)
from chirp.middleware.sessions.fidelity import DEEPEST_NESTING, check_faithful

codec = Codec(config_with())


text = st.text(st.characters(exclude_categories=["Cs"]))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
)


strange_values = st.one_of(
    st.binary(),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.decimals(allow_nan=True),
    st.uuids(),
    st.complex_numbers(),
    st.sets(st.integers()),
    st.frozensets(st.integers()),
    st.tuples(st.integers()),
    st.just(float("nan")),
    st.just(float("inf")),
    st.dictionaries(st.integers(), st.none(), min_size=1),
    st.just("\ud800"),
    st.just(object()),
)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: int


def through(session: dict[str, Any]) -> dict[str, Any]:
    """Store and load."""
    data = encode_data(session)
    check_faithful(session, data)
    document = codec.encode(created_at=1.5, last_seen_at=2.5, handle="h", data=data)
    opened = codec.decode(document)
    assert opened is not None
    return opened.data


def refused(session: dict[str, Any]) -> SessionNotSerializable:
    with pytest.raises(SessionNotSerializable) as raised:
        through(session)
    return raised.value


def nested(levels: int) -> dict[str, Any]:
    """Return a session that is nested so many levels deep, itself included."""
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"deep": value}


def types_in(value: Any) -> Any:
    """Return the value with all its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: types_in(child) for key, child in value.items()}
    if isinstance(value, list):
        return [types_in(child) for child in value]
    return type(value), value


def test_a_path_holds_no_control_character() -> None:
    """Keys may come from a visitor, and errors are printed and logged."""
    key = "".join(map(chr, [*range(32), *range(127, 160), 0x2028]))[-64:]
    assert refused({"\0\r\n\x1b[2J": {key: {1}}}).path.isprintable()


@given(st.dictionaries(text, json_values))
def test_every_json_value_comes_back_as_it_was(session: dict[str, Any]) -> None:
    """With its types: 1, 1.0 and True stay apart, and so do 2**70 and a float."""
    assert types_in(through(session)) == types_in(session)


@given(st.dictionaries(text, json_values, max_size=3), text, strange_values)
def test_what_would_not_come_back_equal_is_refused_with_its_path(
    session: dict[str, Any], key: str, strange: Any
) -> None:
    """Wherever else the session holds good values."""
    error = refused({**session, key: strange})
    assert error.path == f"session[{json.dumps(key[:64])}]"


@given(st.lists(st.one_of(text, st.integers(0, 2)), min_size=1, max_size=6), strange_values)
def test_the_path_leads_to_the_value(steps: list[str | int], strange: Any) -> None:
    """Through dicts and lists alike."""
    value = strange
    for step in reversed(steps):
        value = {step: value, "x" + step: 1} if isinstance(step, str) else [0] * step + [value]
    path = "".join(f"[{json.dumps(step[:64] if isinstance(step, str) else step)}]" for step in ["top", *steps])
    assert refused({"top": value}).path == f"session{path}"


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        decimal.Decimal(1),
        uuid.UUID(int=1),
        b"bytes",
        (1, 2),
        {1, 2},
        Colour.RED,
        Point(1),
        float("nan"),
        "lone \udfff",
        10**5000,
        Exception("no"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_would_change_is_refused(value: Any) -> None:
    """The message tells the type and not the value, which may be secret."""
    error = refused({"cart": [0, 1, value]})
    assert (error.path, type(value).__name__ in str(error)) == ('session["cart"][2]', True)


@pytest.mark.parametrize(
    ("session", "path"),
    [({1: 2}, "session"), ({"a": {1.5: 2}}, 'session["a"]'), ({"a": [{True: 2}]}, 'session["a"][0]')],
)
def test_a_key_that_is_no_text_is_refused(session: Any, path: str) -> None:
    """JSON would make it one, and the handler would not find it again."""
    error = refused(session)
    assert (error.path, "key of type" in str(error)) == (path, True)


def test_a_key_of_none_is_called_a_key() -> None:
    """The message tells what is wrong."""
    assert "key of type NoneType" in str(refused({None: 1}))  # type: ignore[dict-item]


@pytest.mark.parametrize(("value", "plain"), [(Level.HIGH, 3), (OrderedDict(a=1), {"a": 1})])
def test_what_equals_a_plain_value_is_stored_as_that(value: Any, plain: Any) -> None:
    """An `IntEnum` or an `OrderedDict` loses its class and nothing else."""
    assert types_in(through({"a": value})) == types_in({"a": plain})


def test_a_long_integer_comes_back() -> None:
    """Beyond 64 bits, where a float would round."""
    assert through({"a": 2**200 + 1}) == {"a": 2**200 + 1}


def test_a_nesting_as_deep_as_is_allowed_comes_back() -> None:
    """The limit itself is allowed."""
    assert through(nested(DEEPEST_NESTING)) == nested(DEEPEST_NESTING)


@pytest.mark.parametrize("levels", [DEEPEST_NESTING + 1, 5000])
def test_a_deeper_nesting_is_refused(levels: int) -> None:
    """Before it meets the interpreter's recursion limit, which depends on who calls, and after."""
    assert refused(nested(levels)).path.startswith("session")


@pytest.mark.parametrize("before", [0, 150, 1000])
@pytest.mark.parametrize("after", [0, 150, 1000])
@pytest.mark.parametrize("filling", [{}, [], "{]", "]}" * 5, "x" * 9], ids=repr)
def test_the_depth_is_found_wherever_it_is(before: int, after: int, filling: Any) -> None:
    """At the start, in the middle or at the end, beside other containers and brackets in text."""

    def surrounded(levels: int) -> dict[str, Any]:
        return {"before": [filling] * before, **nested(levels), "after": [filling] * after}

    assert through(surrounded(DEEPEST_NESTING)) == surrounded(DEEPEST_NESTING)
    assert refused(surrounded(DEEPEST_NESTING + 1)).path.startswith("session")


def test_a_session_that_contains_itself_is_refused() -> None:
    """Its encoding would not end."""
    session: dict[str, Any] = {}
    session["self"] = session
    assert refused(session).path.startswith('session["self"]')


def test_a_wide_flat_session_is_not_deep() -> None:
    """Containers beside each other do not count as nesting."""
    wide = {"list": [[] for _ in range(500)], "text": "[{" * 500}
    assert through(wide) == wide
