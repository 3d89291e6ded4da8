"""`Session` is a dict that knows whether it was read or changed."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from starlette.middleware.sessions import Session as StarletteSession

from chirp.errors import SessionClosed
from chirp.middleware.sessions import Session
from chirp.middleware.sessions.decision import Found

Operation = Callable[[Any], Any]


# Every operation of a mapping that changes it, by name; those of `READS` do not.
CHANGES: dict[str, Operation] = {
    "set": lambda one: one.__setitem__("new", 1),
    "overwrite": lambda one: one.__setitem__("a", 1),
    "delete": lambda one: one.__delitem__("a"),
    "clear": lambda one: one.clear(),
    "pop": lambda one: one.pop("a"),
    "popitem": lambda one: one.popitem(),
    "setdefault": lambda one: one.setdefault("new", 1),
    "update": lambda one: one.update({"b": 2}, c=3),
    "ior": lambda one: one.__ior__({"b": 2}),
}


READS: dict[str, Operation] = {
    "get item": lambda one: one["a"],
    "get": lambda one: one.get("none", 7),
    "in": lambda one: "a" in one,
    "iterate": list,
    "len": len,
    "bool": bool,
    "keys": lambda one: list(one.keys()),
    "values": lambda one: list(one.values()),
    "items": lambda one: list(one.items()),
    "equal": lambda one: one == {"a": 1},
    "copy": lambda one: one.copy(),
    "or": lambda one: one | {"b": 2},
    "ror": lambda one: {"b": 2} | one,
    "dict": dict,
    "unpack": lambda one: {**one},
    "json": json.dumps,
    "pop missing": lambda one: one.pop("none", 7),
    "setdefault present": lambda one: one.setdefault("a", 7),
}


EVERY = {**CHANGES, **READS}


def live(**data: Any) -> Session:
    """Return a session as it is after loading."""
    session = Session(data)
    session._found = Found.LIVE
    session.id, session.is_new, session._handle = "i" * 43, False, "handle"
    return session


@pytest.mark.parametrize("name", EVERY)
def test_an_operation_does_what_it_does_to_a_dict(name: str) -> None:
    """The same result, and the same content afterwards."""
    ours, plain = live(a=1), {"a": 1}
    assert EVERY[name](ours) == EVERY[name](plain)
    assert dict(ours) == plain


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_marks_the_session_accessed_and_modified(name: str) -> None:
    """A top-level change is known without comparing."""
    session = live(a=1)
    CHANGES[name](session)
    assert (session.accessed, session.modified) == (True, True)


@pytest.mark.parametrize("name", READS)
def test_a_read_marks_the_session_accessed_only(name: str) -> None:
    """The response then varies with the cookie, and nothing is written."""
    session = live(a=1)
    READS[name](session)
    assert (session.accessed, session.modified) == (True, False)


@pytest.mark.parametrize("name", EVERY)
def test_modified_is_as_starlette_has_it(name: str) -> None:
    """After every operation, so code written for Starlette's session sees no difference."""
    ours, theirs = live(a=1), StarletteSession(a=1)
    EVERY[name](ours)
    EVERY[name](theirs)
    assert ours.modified == theirs.modified


@pytest.mark.parametrize("name", ["pop missing", "popitem", "delete"])
def test_an_operation_that_fails_leaves_modified_as_starlette_does(name: str) -> None:
    """On an empty session there is nothing to take away."""
    flags = []
    for session in (Session(), StarletteSession()):
        with pytest.raises(KeyError):
            {**CHANGES, "pop missing": lambda one: one.pop("none")}[name](session)
        flags.append(session.modified)
    assert flags[0] == flags[1]


def test_a_new_session_is_neither_accessed_nor_modified() -> None:
    """Nothing has happened to it; a nested change is found by comparing what is stored."""
    session = Session({"a": []})
    assert (session.accessed, session.modified) == (False, False)


def test_mark_accessed_does_not_mark_it_modified() -> None:
    """As in Starlette, whose `request.session` calls it."""
    session = Session()
    session.mark_accessed()
    assert (session.accessed, session.modified) == (True, False)


def test_mark_modified_marks_both() -> None:
    """As in Starlette."""
    session = Session()
    session.mark_modified()
    assert (session.accessed, session.modified) == (True, True)


def test_attributes_are_no_keys() -> None:
    """What a handler sees as empty is really empty."""
    session = Session()
    session.mark_modified()
    assert (dict(session), len(session.handle) > 0, dict(session)) == ({}, True, {})


@pytest.mark.parametrize("name", CHANGES)
def test_a_closed_session_refuses_changes(name: str) -> None:
    """Promise 19: nothing can be saved any more, so the data stays as it was sent."""
    session = live(a=1)
    session._closed = True
    with pytest.raises(SessionClosed, match="after the response had started"):
        CHANGES[name](session)
    assert dict(session) == {"a": 1}


@pytest.mark.parametrize("name", READS)
def test_a_closed_session_can_be_read(name: str) -> None:
    """Promise 19: while the body is sent."""
    session = live(a=1)
    session._closed = True
    assert READS[name](session) == READS[name]({"a": 1})


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda one: pickle.loads(pickle.dumps(one)),
        lambda one: one.copy(),
        lambda one: one | {},
    ],
    ids=["copy", "deepcopy", "pickle", "method", "or"],
)
def test_a_copy_is_data_alone(copied: Callable[[Session], Any]) -> None:
    """A second object with the same claim on the stored document would overwrite it."""
    made = copied(live(a=1))
    assert (type(made), made) == (dict, {"a": 1})
