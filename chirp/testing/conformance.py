"""What every session store has to do, as tests that a store's author runs against their own."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from chirp.middleware.sessions.config import SessionConfig
from chirp.middleware.sessions.current import regenerate_session, rotate_session
from chirp.middleware.sessions.session import Session
from chirp.testing.browser import Browser
from chirp.testing.clock import ManualClock

UNKNOWN_COOKIE = "u" * 43


def put(**values: Any) -> Callable[[Session], Any]:
    """Return a handler that stores values."""
    return lambda session: session.update(values)


def log_out(_: Session) -> None:
    regenerate_session()


def log_in(_: Session) -> None:
    regenerate_session()["user_id"] = "ada"


def rotate(_: Session) -> None:
    rotate_session()


ENDS: tuple[Callable[[Session], Any], ...] = (Session.clear, log_out, log_in)


class StoreConformance:
    """A suite for stores: subclass it, give `make_store`, and let pytest find its `test_` methods.

    ```python
    class TestMyStore(StoreConformance):
        merges = False

        def make_store(self, config, clock):
            return MyStore(config, clock=clock)
    ```

    For unittest, name `unittest.TestCase` as a second base. Each test is a plain function with an event loop of its
    own, so no plugin is needed. What a kind of store cannot do is switched off by a class attribute; its tests then
    have nothing to show and pass.

    Attributes:
        ends_on_server: a session that ended stays dead for whoever kept its cookie. A signed cookie cannot do that.
        merges: parallel requests that change different keys lose nothing.
        keeps_time: `make_store`'s clock decides when sessions expire.
        clock: of the test that is running.
    """

    clock: ManualClock

    ends_on_server: ClassVar[bool] = True
    merges: ClassVar[bool] = True
    keeps_time: ClassVar[bool] = True

    config: ClassVar[SessionConfig] = SessionConfig("for conformance tests alone, long enough", max_age=1000)

    def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
        """Return a new store, empty of sessions. Called inside of an event loop; may be a coroutine function."""
        raise NotImplementedError

    async def close_store(self, store: Any) -> None:
        """Release what the store holds; called in the same event loop."""
        if hasattr(store, "aclose"):
            await store.aclose()

    def check(self, scenario: Callable[[Browser], Awaitable[None]]) -> None:
        """Run a scenario with a browser at a new store."""

        async def run() -> None:
            self.clock = ManualClock()
            made = self.make_store(self.config, self.clock)
            store = await made if inspect.isawaitable(made) else made
            try:
                await scenario(Browser(store, config=self.config))
            finally:
                await self.close_store(store)

        asyncio.run(run())

    # Loading and saving

    def test_absent_is_an_empty_session_and_no_error(self) -> None:
        """Without a cookie, and with one that leads nowhere or is malformed."""

        async def scenario(browser: Browser) -> None:
            for cookie in (None, UNKNOWN_COOKIE, "", "?", "%00", "x" * 5000):
                browser.cookie = cookie
                found = await browser.read()
                _expect(found == {}, f"a cookie that leads nowhere has led to {found!r}")

        self.check(scenario)

    def test_a_first_visit_that_stores_nothing_sets_no_cookie(self) -> None:
        """Nobody gets a session who needs none."""

        async def scenario(browser: Browser) -> None:
            header = await browser.visit()
            _expect(header is None, "an empty session has set a cookie")

        self.check(scenario)

    def test_what_was_stored_comes_back(self) -> None:
        """Values of every JSON type, under keys of any text."""

        async def scenario(browser: Browser) -> None:
            data = {"cart": [1, {"two": None}], "total": 2.5, "name": "Zoë", "__own": True, "": ""}
            await browser.visit(put(**data))
            _same(await browser.read(), data)

        self.check(scenario)

    def test_a_change_is_stored_and_a_removed_key_is_gone(self) -> None:
        """Also a change inside of a value."""

        async def scenario(browser: Browser) -> None:
            await browser.visit(put(cart=[1], old=1))
            await browser.visit(lambda session: (session["cart"].append(2), session.pop("old")))
            _same(await browser.read(), {"cart": [1, 2]})

        self.check(scenario)

    def test_two_browsers_have_two_sessions(self) -> None:
        """Nobody sees what another one stored."""

        async def scenario(browser: Browser) -> None:
            other = Browser(browser.store, config=self.config)
            await browser.visit(put(mine=1))
            await other.visit(put(theirs=2))
            _same(await browser.read(), {"mine": 1})
            _same(await other.read(), {"theirs": 2})

        self.check(scenario)

    def test_the_cookie_follows_the_config(self) -> None:
        """Name, Path, HttpOnly, SameSite, Max-Age, and Secure over https."""

        async def scenario(browser: Browser) -> None:
            header = await browser.visit(put(a=1)) or ""
            _expect(header.startswith(f"{self.config.cookie_name}="), f"the cookie has another name: {header[:30]}")
            attributes = header.lower().split("; ")[1:]
            config = self.config
            wanted = [f"path={config.path}", f"samesite={config.samesite}", f"max-age={config.max_age}"]
            wanted += [name for name, set_ in (("httponly", config.httponly), ("secure", config.secure)) if set_]
            wanted = [each.lower() for each in wanted]
            missing = [each for each in wanted if each not in attributes]
            _expect(not missing, f"the cookie lacks {missing}: it has {attributes}")

        self.check(scenario)

    # Ends and new ids

    def test_an_end_empties_the_session(self) -> None:
        """For the browser that asked for it."""

        async def scenario(browser: Browser) -> None:
            for end in ENDS:
                one = Browser(browser.store, config=self.config)
                await one.visit(put(a=1))
                await one.visit(end)
                _same(await one.read(), {"user_id": "ada"} if end is log_in else {})

        self.check(scenario)

    def test_a_kept_cookie_leads_nowhere_after_an_end(self) -> None:
        """Whoever copied it has an empty session, and cannot bring the old one back by storing something."""

        async def scenario(browser: Browser) -> None:
            for end in (*ENDS, rotate):
                one = Browser(browser.store, config=self.config)
                await one.visit(put(secret=1))
                thief = one.twin()
                await one.visit(end)
                _same(await thief.read(), {})
                await thief.visit(put(mine=1))
                _expect("secret" not in await thief.read(), "an ended session came back")

        if self.ends_on_server:
            self.check(scenario)

    def test_an_unknown_id_is_never_adopted(self) -> None:
        """A session gets an id of the store's own, not the one that somebody made up."""

        async def scenario(browser: Browser) -> None:
            browser.cookie = UNKNOWN_COOKIE
            await browser.visit(put(a=1))
            _expect(browser.cookie != UNKNOWN_COOKIE, "the store has adopted an id that it did not make")
            _same(await Browser(browser.store, UNKNOWN_COOKIE, self.config).read(), {})

        self.check(scenario)

    def test_a_rotation_keeps_the_data_under_a_new_cookie(self) -> None:
        """And so does a change of the user without one."""

        async def scenario(browser: Browser) -> None:
            for new_id in (rotate, put(user_id="ada")):
                one = Browser(browser.store, config=self.config)
                await one.visit(put(a=1))
                before = one.cookie
                await one.visit(new_id)
                if self.ends_on_server:
                    _expect(one.cookie not in (None, before), "the session has kept its cookie")
                _expect((await one.read()).get("a") == 1, "the session has lost its data")

        self.check(scenario)

    def test_a_planted_cookie_leads_nowhere_after_a_login(self) -> None:
        """Session fixation: the attacker knows the cookie that the victim signs in with."""

        async def scenario(browser: Browser) -> None:
            await browser.visit(put(planted=1))
            thief = browser.twin()
            await browser.visit(log_in)
            _same(await browser.read(), {"user_id": "ada"})
            _expect("user_id" not in await thief.read(), "the planted cookie leads to the login's session")

        self.check(scenario)

    # Requests that overlap

    def test_parallel_changes_of_different_keys_are_all_kept(self) -> None:
        """Fifty requests have loaded the session before the first one stores it."""

        async def scenario(browser: Browser) -> None:
            await browser.visit(put(base=0))
            requests = [await browser.twin().begin() for _ in range(50)]
            for number, request in enumerate(requests):
                request.session[f"k{number}"] = number
            await asyncio.gather(*(request.finish() for request in requests))
            _same(await browser.read(), {"base": 0, **{f"k{number}": number for number in range(50)}})

        if self.merges:
            self.check(scenario)

    def test_of_parallel_changes_of_one_key_the_later_wins(self) -> None:
        """And neither fails."""

        async def scenario(browser: Browser) -> None:
            await browser.visit(put(a=0))
            first, second = await browser.begin(), await browser.begin()
            first.session["a"] = 1
            second.session["a"] = 2
            await second.finish()
            await first.finish()
            _same(await browser.read(), {"a": 1})

        self.check(scenario)

    def test_a_save_that_comes_late_does_not_bring_an_ended_session_back(self) -> None:
        """It had loaded the session before the end, and sets no cookie after it."""

        async def scenario(browser: Browser) -> None:
            for end in (*ENDS, rotate):
                one = Browser(browser.store, config=self.config)
                await one.visit(put(secret=1))
                old, tab = one.cookie, one.twin()
                late = await tab.begin()
                late.session["late"] = 1
                await one.visit(end)
                header = await late.finish()
                _expect(header is None, "a late save has set a cookie after the session had ended")
                _same(await Browser(browser.store, old, self.config).read(), {})
                _expect("late" not in await one.read(), "a late save has reached the session that came after")

        if self.ends_on_server:
            self.check(scenario)

    def test_first_visits_in_parallel_each_have_a_session(self) -> None:
        """The browser keeps one of the cookies, and it leads to what that request stored."""

        async def scenario(browser: Browser) -> None:
            tabs = [Browser(browser.store, config=self.config) for _ in range(10)]
            await asyncio.gather(*(tab.visit(put(number=number)) for number, tab in enumerate(tabs)))
            for number, tab in enumerate(tabs):
                _same(await tab.read(), {"number": number})

        self.check(scenario)

    # Time

    def test_a_session_expires(self) -> None:
        """`max_age` after its last request at the latest, and not before it is that old."""

        async def scenario(browser: Browser) -> None:
            await browser.visit(put(a=1))
            self.clock.move(self.config.max_age - 1)
            _same(await browser.read(), {"a": 1})
            self.clock.move(1)
            _same(await browser.read(), {})

        if self.keeps_time:
            self.check(scenario)

    def test_a_session_that_is_used_does_not_expire(self) -> None:
        """A request slides the limit, though it changes nothing."""

        async def scenario(browser: Browser) -> None:
            await browser.visit(put(a=1))
            for _ in range(5):
                self.clock.move(self.config.max_age * 0.7)
                await browser.visit()
            _same(await browser.read(), {"a": 1})

        if self.keeps_time:
            self.check(scenario)


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)


def _same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    _expect(found == expected, f"the session holds {found!r} and should hold {expected!r}")
