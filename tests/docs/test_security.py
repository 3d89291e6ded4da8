"""docs/explanation/security.md: every line of its tables is whole, and every test that it names exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from programs import ROOT, Document

from chirp.middleware.sessions import RedisSessionStore

DOCUMENT = Document("docs/explanation/security.md")
PAGE = DOCUMENT.text
COLUMNS = ["requirement", "gist", "how it is met", "shown by", "left to the app"]
WITHOUT_TEST = "the app's"
TABLES = {
    "OWASP Session Management Cheat Sheet": 28,
    "OWASP ASVS 5.0, V3.3 Cookie Setup": 5,
    "OWASP ASVS 5.0, V7 Session Management": 19,
    "RFC 6265bis, Cookies: HTTP State Management Mechanism": 11,
    "Redis": 8,
}
ASVS = (
    *(f"3.3.{number}" for number in range(1, 6)),
    *(f"7.{section}.{number}" for section, last in enumerate((3, 4, 2, 5, 3, 2), 1) for number in range(1, last + 1)),
)


def tables() -> Iterator[tuple[str, list[list[str]]]]:
    """Give the heading and the rows, with the one that names the columns, of each section that has a table."""
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
        if rows:
            yield section.partition("\n")[0], [[cell.strip() for cell in row] for row in rows]


ROWS = [row for _, rows in tables() for row in rows[1:]]


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse(ROOT.joinpath(file).read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions)


def named(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)


def test_every_table_is_there_and_has_its_columns() -> None:
    """None was lost, and none has lost lines."""
    assert {heading: len(rows) - 1 for heading, rows in tables()} == TABLES
    assert all(rows[0] == COLUMNS for _, rows in tables())


@pytest.mark.parametrize("row", ROWS, ids=[f"{number}-{row[0]}" for number, row in enumerate(ROWS)])
def test_every_line_is_whole(row: list[str]) -> None:
    """It has all columns, and a test or the plain words that there is none."""
    assert len(row) == len(COLUMNS)
    assert all(row)
    assert row[3] == WITHOUT_TEST or re.fullmatch(r"`tests/[^`]+`(, `tests/[^`]+`)*", row[3])
    assert bool(named(row[3])) == (row[3] != WITHOUT_TEST)


def test_every_test_that_the_page_names_exists() -> None:
    """A renamed test is renamed here as well."""
    missing = [f"{file}::{test}" for file, test in named(PAGE) if test not in functions_of(file)]
    assert missing == []
    assert len(named(PAGE)) == PAGE.count("::test_")


def test_every_requirement_of_the_two_chapters_has_a_line() -> None:
    """Of ASVS 5.0: V3.3 and V7, in order."""
    assert tuple(row[0].split()[0] for row in ROWS if re.match(r"\d+\.\d+\.\d+ \(L[123]\)", row[0])) == ASVS


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    DOCUMENT.expect_all_tested(globals())


def test_the_strict_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings to begin with are a config, with a store on Redis."""
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    monkeypatch.setenv("REDIS_URL", "rediss://shop:password@redis.example.com:6380/0")
    config = DOCUMENT.run("strict")["config"]
    assert (config.cookie_name, config.window, config.lifetime.absolute) == ("__Host-id", 1800, 28800)
    assert isinstance(config.store, RedisSessionStore)


def test_security_md_leads_to_the_page() -> None:
    """Whoever looks for security at the top of the repository finds it."""
    assert "(docs/explanation/security.md)" in ROOT.joinpath("SECURITY.md").read_text("utf-8")
    assert "(docs/explanation/security.md)" in ROOT.joinpath("README.md").read_text("utf-8")
