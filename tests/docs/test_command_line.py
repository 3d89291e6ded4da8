"""docs/reference/command-line.md is executed: its commands run, and print for programs what it shows."""

import asyncio
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from command_kit import Said, run
from programs import Document
from servers import OwnServer
from typer.main import get_command
from visits import CONFIG, put

from chirp.commands import commands
from chirp.middleware.sessions import RedisSessionStore
from chirp.operations.place import ENDING, LOOKING

PAGE = Document("docs/reference/command-line.md")


class Operator:
    """Somebody who follows the page, on a server with three sessions of user 5."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.handle = asyncio.run(self._begin())

    async def _begin(self) -> str:
        store = RedisSessionStore(CONFIG, self._url)
        for _ in range(3):
            await put(store, user_id=5)
        handle = (await store.list_sessions(5))[0].handle
        await store.aclose()
        return handle

    def run(self, *words: str) -> Said:
        return run(*(self.handle if word == "HANDLE" else word for word in words), CHIRP_REDIS_URL=self._url)

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").out)


@pytest.fixture
def operator(own_server: Callable[..., OwnServer]) -> Operator:
    return Operator(own_server().url)


def shown(name: str) -> Any:
    found = re.search(rf"<!-- json: {name} -->\n```json\n(.*?)```", PAGE.text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def form(value: Any) -> Any:
    """Return the names in JSON and the kinds of its values; a number is of one kind, and null of any."""
    if isinstance(value, dict):
        return {name: form(each) for name, each in value.items()}
    if isinstance(value, list):
        return [form(each) for each in value]
    return "value"


@pytest.mark.parametrize("line", re.findall(r"^chirp sessions (.*)$", PAGE.text, re.MULTILINE))
def test_every_command_runs(operator: Operator, line: str) -> None:
    """As it is shown, but for the handle; what would be asked is agreed to."""
    words = shlex.split(line)
    said = operator.run(*words, *(("--yes",) if words[0].startswith("revoke") else ()))
    assert (said.code, said.out != "") == (0, True)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("list", ("show", "HANDLE")),
        ("list", ("list", "--limit", "1")),
        ("revoke", ("revoke", "HANDLE", "--yes")),
        ("revoke-user", ("revoke-user", "5", "--yes")),
        ("stats", ("stats",)),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_the_json_has_the_form_that_is_shown(operator: Operator, name: str, command: tuple[str, ...]) -> None:
    """Every name, at its place, and no other."""
    assert form(operator.json(*command)) == form(shown(name))


def test_the_times_that_are_shown_are_counted(operator: Operator) -> None:
    """In that order."""
    counted, page = operator.json("stats")["last_seen"], shown("stats")["last_seen"]
    assert [each["within_seconds"] for each in counted] == [each["within_seconds"] for each in page]


def test_every_option_is_in_the_table() -> None:
    """And no other."""
    table = PAGE.text.partition("| option | meaning |")[2].partition("\n\n")[0]
    group: Any = get_command(commands)
    options = {
        name
        for command in group.commands["sessions"].commands.values()
        for option in command.params
        for name in option.opts
        if name.startswith("--") and name != "--help"
    }
    named = set(re.findall(r"--[a-z-]+", "".join(re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE))))
    assert named == options


def test_the_rights_are_those_that_are_enough() -> None:
    """`tests/integration/test_sessions_command_servers.py` tries them."""
    assert f"<!-- acl: rights -->\n```\n{LOOKING}\n{ENDING}\n```" in PAGE.text
