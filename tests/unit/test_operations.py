"""What `chirp sessions` computes and writes: figures of many numbers, users as they are named, words for terminals."""

import json
import random
from typing import Any

import pytest
import typer
from hypothesis import example, given, strategies

from chirp.commands.sessions.options import telling
from chirp.middleware.sessions.directory import SessionInfo
from chirp.operations import words
from chirp.operations.figures import Distinct, Spread
from chirp.operations.listing import HEADING, Row, moment
from chirp.operations.users import users_named

USERS: list[Any] = [5, -5, 0.5, "5", "ada", "", "-", " a", "true", '"', True, [1, "a"], {"tenant": 1}, "Zoë", "null"]


def info(**facts: Any) -> SessionInfo:
    stored = {"handle": "h" * 16, "user_id": 5, "created_at": 0.0, "last_seen_at": 50.0, "expires_at": 0.0}
    stored |= {"user_agent": None, "address": None}
    return SessionInfo(**{**stored, "current": False, "size": 1234, "key": "", **facts})


@pytest.mark.parametrize("most", [1, 200, 65_536, 10**12])
def test_quantiles_are_within_a_hundredth(most: int) -> None:
    """Rounded down, and never more than the number itself."""
    chance = random.Random(1)
    numbers = sorted(chance.randrange(most) for _ in range(1000))
    spread = Spread()
    for number in numbers:
        spread.add(number)
    for share, true in ((0.5, numbers[499]), (0.95, numbers[949]), (1.0, numbers[999])):
        assert true * 0.99 <= spread.quantile(share) <= true
    assert (spread.count, spread.total, spread.largest) == (1000, sum(numbers), numbers[-1])


def test_a_spread_does_not_grow() -> None:
    """However many different numbers there are."""
    spread = Spread()
    for number in range(200_000):
        spread.add(number)
    assert len(spread._counts) < 2000


def test_no_numbers_have_no_quantile() -> None:
    """It is 0."""
    assert Spread().quantile(0.5) == 0


def test_few_values_are_counted_exactly() -> None:
    """Each once, however often it comes."""
    distinct = Distinct(1000)
    for number in range(3000):
        distinct.add(b"%d" % (number % 1000))
    assert (distinct.count, distinct.exact) == (1000, True)


def test_very_many_values_are_estimated_in_bounded_memory() -> None:
    """Within a few hundredths where a thousand of them are kept."""
    distinct = Distinct(4000)
    for number in range(100_000):
        distinct.add(b"%d" % number)
    assert (len(distinct._kept) <= 4000, distinct.exact) == (True, False)
    assert 90_000 < distinct.count < 110_000


@pytest.mark.parametrize("user", USERS, ids=repr)
def test_a_user_is_named_as_it_is_shown(user: Any) -> None:
    """What the output has can be given back, and means that user."""
    shown = words.user_text(user)
    assert [each for each in users_named(shown) if each == user and type(each) is type(user)] == [user]


def test_no_two_users_are_shown_alike() -> None:
    """Nor like nobody."""
    assert len({words.user_text(user) for user in [*USERS, None]}) == len(USERS) + 1


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("5", ["5", 5]),
        ("-5", ["-5", -5]),
        ("1.5", ["1.5", 1.5]),
        ("05", ["05"]),
        ("1e3", ["1e3"]),
        ("12345678901234567890123", ["12345678901234567890123", 12345678901234567890123]),
        ("0.1000000000000000055", ["0.1000000000000000055"]),
        ("1e999", ["1e999"]),
        ("null", ["null"]),
        ("NaN", ["NaN"]),
        ('"5"', ['"5"', "5"]),
        ('{"tenant": 1}', ['{"tenant": 1}', {"tenant": 1}]),
        ("[" * 100_000, ["[" * 100_000]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_text_means_itself_and_the_json_that_it_is(text: str, users: list[Any]) -> None:
    """But no number that is stored under another text."""
    assert users_named(text) == users


@given(strategies.text())
@example("\x1b[31m\x07\x7f\x9b\u202e\U000e0001\r\n")
def test_whatever_is_stored_is_printable(text: str) -> None:
    """As text, as JSON, and as the contents of a session, which stay JSON."""
    for shown in (words.visible(text), words.user_text(text), words.to_json({text: text})):
        assert shown.isprintable(), ascii(shown)
    contents = words.contents({text: [text]})
    assert all(line.isprintable() for line in contents.split("\n"))
    assert json.loads(contents) == {text: [text]}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (86400 * 400, "400 d"), (1e999, "never")],
)
def test_a_span_has_one_unit(seconds: float, shown: str) -> None:
    """The largest that is at least one."""
    assert words.span(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5 * 10**8, "500.0 MB"), (10**15, "1,000.0 TB")]
)
def test_bytes_have_a_unit(number: int, shown: str) -> None:
    """Of thousands."""
    assert words.bytes_text(number) == shown


def test_a_time_that_no_calendar_has_is_shown() -> None:
    """A key may have been given any time to live."""
    assert moment(0.5) == "1970-01-01 00:00:00 UTC"
    assert moment(9e15).startswith("5138-")


@pytest.mark.parametrize("user", ["a" * 100, "日本" * 20, "ada"])
def test_the_columns_stand_under_their_names(user: str) -> None:
    """However long or wide a user's id is."""
    from rich.cells import cell_len  # noqa: PLC0415 - of the tests, only this one counts cells

    assert cell_len(Row(info(user_id=user), 60.0, 100.0).as_line()) == cell_len(HEADING)


def test_a_handle_that_nobody_minted_is_not_shown() -> None:
    """The store leaves it out, and the line has a dash."""
    assert Row(info(handle=""), 60.0, 100.0).as_line().startswith("-  ")


def test_an_interruption_has_the_exit_code_that_shells_know() -> None:
    """Also where the command line's own framework would say something of it."""
    with pytest.raises(typer.Exit) as ended, telling("stats"):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130


def test_the_client_is_told_where_it_is_recorded() -> None:
    """In full and for programs; a line has no room for it."""
    row = Row(info(user_agent="Firefox", address="192.0.2.7"), 60.0, 100.0)
    assert (row.as_json()["user_agent"], row.as_json()["address"]) == ("Firefox", "192.0.2.7")
    told = [list(column.cells) for column in row.as_table().columns]
    assert [str(cell) for cell in told[1]][-2:] == ["Firefox", "192.0.2.7"]
    unknown = Row(info(), 60.0, 100.0)
    assert len(list(unknown.as_table().columns[1].cells)) == len(told[1]) - 2
