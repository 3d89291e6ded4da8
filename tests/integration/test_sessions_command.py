"""`chirp sessions` on the server of the run: what it finds and tells, and what it ends."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from command_kit import Said, run
from redis import Redis
from visits import CONFIG, put, read, visit

from chirp.middleware.sessions import RedisSessionStore, SessionConfig
from chirp.middleware.sessions.session import Session

FACTS = {"handle", "user_id", "created_at", "last_seen_at", "expires_at", "size", "user_agent", "address"}


class App:
    """An app's store, and `chirp sessions` on it."""

    def __init__(self, url: str, prefix: str, config: SessionConfig = CONFIG) -> None:
        self._url = url
        self._prefix = prefix
        self._config = config

    def do(self, work: Callable[[RedisSessionStore], Coroutine[Any, Any, Any]]) -> Any:
        async def doing() -> Any:
            store = RedisSessionStore(self._config, self._url, self._prefix)
            try:
                return await work(store)
            finally:
                await store.aclose()

        return asyncio.run(doing())

    def put(self, **data: Any) -> str:
        """Begin a session; return the id in the browser's cookie."""
        return str(self.do(lambda store: put(store, **data)))

    def read(self, cookie: str) -> dict[str, Any]:
        found: dict[str, Any] = self.do(lambda store: read(store, cookie))
        return found

    def run(self, *arguments: str) -> Said:
        return run(*arguments, "--redis", self._url, "--prefix", self._prefix)

    def json(self, *arguments: str) -> Any:
        said = self.run(*arguments, "--json")
        assert said.code == 0, said
        return json.loads(said.out)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("list", "--json", *arguments).out.splitlines()]

    def handle_of(self, user: Any) -> str:
        (handle,) = [str(each["handle"]) for each in self.listed() if each["user_id"] == user]
        return handle


@pytest.fixture
def app(redis_url: str, key_prefix: str) -> App:
    return App(redis_url, key_prefix)


@pytest.fixture
def redis(redis_url: str) -> Any:
    with Redis.from_url(redis_url) as client:
        yield client


def test_all_sessions_are_counted(app: App, redis: Redis, key_prefix: str) -> None:
    """With a user and without, what has just ended, and what is no session."""
    for user in (5, 5, "5"):
        app.put(user_id=user)
    app.put(a=1)
    ended = app.put(a=2)
    app.do(lambda store: visit(store, ended, Session.clear))
    redis.set(f"{key_prefix}{'0' * 64}", '{"of": "another program"}')
    found = app.json("stats")
    assert {name: found[name] for name in ("sessions", "with_user", "without_user", "users", "users_exact")} == {
        "sessions": 4,
        "with_user": 3,
        "without_user": 1,
        "users": 2,
        "users_exact": True,
    }
    assert (found["tombstones"], found["unreadable"]) == (1, 1)
    assert sum(each["sessions"] for each in found["last_seen"]) == found["last_seen"][0]["sessions"] == 4
    assert found["bytes"]["total"] == sum(each["size"] for each in app.listed())
    assert found["servers"][0]["used_bytes"] > 0


def test_statistics_are_told_in_words(app: App) -> None:
    """The same, for people; nothing but the table is printed where there is no terminal."""
    app.put(user_id=5)
    said = app.run("stats")
    assert "with a user              1, of 1 user" in said.out
    assert "unreadable" not in said.out
    assert said.err == ""


def test_no_sessions_are_no_error(app: App) -> None:
    """On a server that has none."""
    assert app.json("stats")["sessions"] == 0
    assert "sessions" in app.run("stats").out
    assert app.run("list") == Said(0, "", "There are no sessions.\n")
    assert app.run("list", "--json").out == ""


def test_a_session_is_told_without_its_id_its_key_and_its_contents(app: App, key_prefix: str) -> None:
    """Neither for people nor for programs."""
    cookie = app.put(user_id="ada", card="4111")
    (row,) = app.listed()
    assert (set(row), row["user_id"]) == (FACTS, "ada")
    told = "".join(app.run(*words).out for words in (("list",), ("list", "--json"), ("show", row["handle"])))
    key = app.do(lambda store: _return(store.key_for(cookie)))
    assert [secret for secret in (cookie, key.removeprefix(key_prefix), "4111") if secret in told] == []
    assert told.count(row["handle"]) == 3


async def _return(value: Any) -> Any:
    return value


def test_the_end_is_the_servers(app: App, redis_url: str, key_prefix: str) -> None:
    """Whatever the app's limits are, which the command does not know."""
    App(redis_url, key_prefix, SessionConfig(CONFIG.secret_key, idle_timeout_seconds=100)).put(a=1)
    (row,) = app.listed()
    assert row["last_seen_at"] + 90 < row["expires_at"] < row["last_seen_at"] + 110


def test_what_never_ends_is_said(app: App, redis: Redis) -> None:
    """Somebody has taken the time to live from a key."""
    cookie = app.put(a=1)
    redis.persist(app.do(lambda store: _return(store.key_for(cookie))))
    assert app.listed()[0]["expires_at"] is None
    assert "never" in app.run("list").out


def test_an_old_session_is_not_hidden(app: App, redis_url: str, key_prefix: str) -> None:
    """One that the default lifetimes would take for expired, of an app with longer ones."""

    async def begin_a_month_ago(_: RedisSessionStore) -> None:
        config = SessionConfig(CONFIG.secret_key, max_age=90 * 86400)
        store = RedisSessionStore(config, redis_url, key_prefix)
        then = store.clock() - 30 * 86400
        store.clock = lambda: then
        await put(store, a=1)
        await store.aclose()

    app.do(begin_a_month_ago)
    assert len(app.listed()) == app.json("stats")["sessions"] == 1


def test_a_user_id_that_is_a_number_means_the_text_as_well(app: App) -> None:
    """And in quotes the text alone; the output tells them apart as it can be given back."""
    for user in (5, "5", "ada"):
        app.put(user_id=user)
    assert [each["user_id"] for each in app.listed("--user", "5")] == ["5", 5]
    assert [each["user_id"] for each in app.listed("--user", '"5"')] == ["5"]
    assert [each["user_id"] for each in app.listed("--user", "ada")] == ["ada"]
    assert [line.split()[1] for line in app.run("list", "--user", "5").out.splitlines()] == ["USER", '"5"', "5"]


def test_a_limit_ends_the_list(app: App) -> None:
    """And it is said that there may be more."""
    for _ in range(5):
        app.put(a=1)
    said = app.run("list", "--json", "--limit", "2")
    assert (len(said.out.splitlines()), said.err) == (2, "Stopped at --limit 2.\n")


def test_contents_are_shown_on_demand(app: App) -> None:
    """As JSON, for people and for programs."""
    app.put(user_id=5, cart=["fig"])
    handle = app.handle_of(5)
    assert app.json("show", handle)["handle"] == handle
    assert app.json("show", handle, "--contents")["contents"] == {"user_id": 5, "cart": ["fig"]}
    assert '"fig"' in app.run("show", handle, "--contents", "--user", "5").out
    assert '"fig"' not in app.run("show", handle, "--user", "5").out


def test_nothing_that_is_stored_commands_a_terminal(app: App) -> None:
    """Controls, marks of direction and the markup of the output are shown as text."""
    hostile = "[bold]\x1b[31m\x9b2J\x07\u202e\x7f\r\n[/]"
    app.put(user_id=hostile, **{hostile: hostile})
    handle = app.handle_of(hostile)
    for times, *command in (1, "list"), (4, "show", handle, "--contents"), (1, "revoke-user", hostile, "--yes"):
        for options in ((), ("--json",)):
            said = app.run(*command, *options)
            assert (said.code, said.out.count("[bold]\\u001b[31m")) == (0, times)
            assert said.out.replace("\n", "").isprintable(), said.out


def test_a_session_is_ended(app: App) -> None:
    """That one alone; another time there is none."""
    mine, other = app.put(user_id=5), app.put(user_id=6)
    handle = app.handle_of(5)
    assert app.run("revoke", handle, "--yes") == Said(0, "Ended 1 session.\n", "")
    assert (app.read(mine), app.read(other)) == ({}, {"user_id": 6})
    said = app.run("revoke", handle, "--yes")
    assert (said.code, said.err) == (1, f"chirp sessions: there is no live session {handle}\n")


def test_a_session_without_a_user_is_ended(app: App) -> None:
    """It is found by looking through all."""
    cookie = app.put(a=1)
    assert app.json("revoke", app.handle_of(None), "--yes")["ended"] == 1
    assert app.read(cookie) == {}


def test_a_session_of_somebody_else_is_not_ended(app: App) -> None:
    """With --user, a mistaken handle does no harm."""
    cookie = app.put(user_id=5)
    assert app.run("revoke", app.handle_of(5), "--user", "6", "--yes").code == 1
    assert app.read(cookie) == {"user_id": 5}


def test_all_sessions_of_a_user_are_ended(app: App) -> None:
    """Of both users whom the text may mean, and the output has how many of each."""
    gone = [app.put(user_id=user) for user in (5, 5, "5")]
    stays = app.put(user_id=6)
    said = app.run("revoke-user", "5", "--yes")
    assert said == Said(0, 'Ended 1 session of user "5", 2 sessions of user 5.\n', "")
    assert [app.read(cookie) for cookie in gone] == [{}, {}, {}]
    assert app.read(stays) == {"user_id": 6}
    assert app.json("revoke-user", "5", "--yes") == {
        "ended": 0,
        "users": [{"user_id": "5", "ended": 0}, {"user_id": 5, "ended": 0}],
        "kept": None,
    }


def test_one_session_of_a_user_is_kept(app: App) -> None:
    """Where its handle is right; a mistaken one ends nothing."""
    app.put(user_id=6)
    stays = app.put(user_id=5)
    handle = app.handle_of(5)
    gone = app.put(user_id=5)
    said = app.run("revoke-user", "5", "--keep", app.handle_of(6), "--yes")
    assert (said.code, "nothing was ended" in said.err) == (1, True)
    assert app.read(gone) == {"user_id": 5}
    assert app.json("revoke-user", "5", "--keep", handle, "--yes")["ended"] == 1
    assert (app.read(gone), app.read(stays)) == ({}, {"user_id": 5})


@pytest.mark.parametrize("command", ["revoke", "revoke-user"])
def test_nothing_ends_unasked_where_nobody_can_be_asked(app: App, command: str) -> None:
    """Without a terminal it takes --yes."""
    cookie = app.put(user_id=5)
    said = app.run(command, app.handle_of(5) if command == "revoke" else "5")
    assert said.code == 2
    assert said.err.endswith("there is no terminal to ask at, so it needs --yes\n")
    assert app.read(cookie) == {"user_id": 5}


def test_other_names_of_fields_are_given(redis_url: str, key_prefix: str) -> None:
    """Without them no session can be read, and that is said instead of none being found."""
    config = SessionConfig(CONFIG.secret_key, created_at_key="born", last_seen_at_key="seen", user_key="who")
    app = App(redis_url, key_prefix, config)
    app.put(who="ada")
    names = ("--created-at-key", "born", "--last-seen-at-key", "seen", "--user-key", "who")
    assert [each["user_id"] for each in app.listed(*names)] == ["ada"]
    assert (app.json("stats")["sessions"], app.json("stats")["unreadable"]) == (0, 1)
    assert "another created_at_key or last_seen_at_key" in app.run("stats").out


@pytest.mark.parametrize("handle", ["-Ns0yNWq05ixXr_4", "--s0yNWq05ixXr_4"])
def test_a_name_may_begin_with_a_dash(app: App, handle: str) -> None:
    """One handle in 64 does, and so do negative numbers; none is taken for an option."""
    for user in (-5, 6):
        app.do(lambda store, user=user: _begin(store, handle, user))
    assert app.run("show", handle, "--user", "-5").code == 0
    assert app.json("revoke-user", "-5", "--keep", handle, "--yes")["ended"] == 0
    assert app.json("revoke-user", "-5", "--yes")["ended"] == 1
    assert app.json("revoke", handle, "--yes")["ended"] == 1


async def _begin(store: RedisSessionStore, handle: str, user: Any) -> None:
    session = await store.open(None, https=True)
    session["user_id"] = user
    session._handle = handle
    await store.commit(session, store.clock())


@pytest.mark.parametrize("handle", ["", "a b", "\x1b[31m", "a" * 65])
def test_what_is_no_handle_is_refused(app: App, handle: str) -> None:
    """Before anything is looked for."""
    for command in (("show", handle), ("revoke", handle, "--yes"), ("revoke-user", "5", "--keep", handle, "--yes")):
        said = app.run(*command)
        assert (said.code, said.out) == (2, "")
        assert "a handle is 1 to 64 letters" in said.err


def test_a_user_id_that_nobody_can_have_is_refused(app: App) -> None:
    """Bytes of the command line that are no text."""
    said = app.run("revoke-user", "\udcff", "--yes")
    assert (said.code, said.err) == (2, "chirp sessions revoke-user: the user's id is not text in UTF-8\n")
