"""docs/how-to/typed-sessions.md is executed: each of its programs does what the text around it says."""

import pytest
from programs import Document
from session_kit import browser

from chirp.testing import read_session_sync

PAGE = Document("docs/how-to/typed-sessions.md")


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_the_struct_program() -> None:
    """The cart grows from request to request."""
    names = PAGE.run("struct")
    client = browser(names["app"])
    assert client.post("/add/tea").json() == {"items": ["tea"]}
    assert client.post("/add/cup").json() == {"items": ["tea", "cup"]}
    found = read_session_sync(client, names["store"])
    assert found == {"cart": [{"name": "tea", "count": 1}, {"name": "cup", "count": 1}]}


def test_the_dataclass_program() -> None:
    """The time of the last visit comes back as one."""
    client = browser(PAGE.run("dataclass")["app"])
    assert client.get("/page/home").json() == {"pages": ["home"], "been here": False}
    assert client.get("/page/news").json() == {"pages": ["home", "news"], "been here": True}


def test_the_pydantic_program() -> None:
    """The basket is the response as well."""
    client = browser(PAGE.run("pydantic")["app"])
    client.post("/buy/tea?price=3")
    assert client.post("/buy/cup?price=5").json() == {"items": ["tea", "cup"], "total": 8}


def test_the_migrate_program(capsys: pytest.CaptureFixture[str]) -> None:
    """What version 1 stored is brought up to date."""
    PAGE.run("migrate")
    assert capsys.readouterr().out.splitlines() == [
        "Shop(cart=[Item(name='tea', count=2), Item(name='cup', count=1)])",
        "{'cart': [{'name': 'tea', 'count': 2}, {'name': 'cup', 'count': 1}]}",
    ]
