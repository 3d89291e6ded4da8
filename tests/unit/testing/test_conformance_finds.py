"""The conformance suite is of use: stores that are wrong do not pass, and a right one of somebody else's does."""

import secrets
import unittest
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
from session_kit import config_with
from starlette.requests import Request

from chirp.middleware.sessions import MemorySessionStore, SessionConfig
from chirp.middleware.sessions.cookie import CookieWriter, SetCookie
from chirp.middleware.sessions.merging import Write, Written
from chirp.middleware.sessions.session import Session
from chirp.middleware.sessions.steps import End, Reply, Step
from chirp.testing import StoreConformance

TESTS = sorted(name for name in dir(StoreConformance) if name.startswith("test_"))


class PlainStore:
    """A third-party store: it knows `load` and `save`, plain dicts, and nothing of this package's insides."""

    def __init__(self, config: SessionConfig, clock: Callable[[], float]) -> None:
        self.config, self.clock = config, clock
        self.kept: dict[str, tuple[dict[str, Any], float]] = {}

    async def load(self, request: Request) -> dict[str, Any]:
        data, expires_at = self.kept.get(request.cookies.get(self.config.cookie_name, ""), ({}, 0.0))
        return dict(data) if self.clock() < expires_at else {}

    async def save(self, response: Any, session: dict[str, Any], *, regenerate_old_id: str | None = None) -> Any:
        self.kept.pop(regenerate_old_id or "", None)
        new_id = secrets.token_urlsafe(32)
        self.kept[new_id] = (dict(session), self.clock() + self.config.max_age)
        cookie = (
            f"{self.config.cookie_name}={new_id}; Max-Age={self.config.max_age}; Path=/; HttpOnly; SameSite=Lax; Secure"
        )
        if session or regenerate_old_id:
            response.headers.append("Set-Cookie", cookie)
        return response


class Overwriting(MemorySessionStore):
    """Stores what a request holds, whatever others have stored meanwhile."""

    async def _write(self, write: Write) -> Written:
        key = write.swap.key
        if key in self._values:
            self._values[key] = (write.swap.document, self._values[key][1])
        return Written(True, write.swap.document)


class Reviving(MemorySessionStore):
    """Ends nothing."""

    async def _run(self, steps: Sequence[Step]) -> list[Reply]:
        return [True if isinstance(step, End) else self._take(step) for step in steps]


class Adopting(MemorySessionStore):
    """Takes whatever id comes."""

    def _make_new(self, session: Session, data: bytes, now: float) -> Any:
        new_id, step = super()._make_new(session, data, now)
        if not session._presented:
            return new_id, step
        return session._presented, type(step)(self.key_for(session._presented), step.document, step.ttl_ms)


class Forgetful(MemorySessionStore):
    """Loses every session after a minute."""

    def _set(self, key: str, value: bytes, ttl_ms: int) -> None:
        super()._set(key, value, min(ttl_ms, 60_000))


class Immortal(MemorySessionStore):
    """Expires nothing."""

    def __init__(self, config: SessionConfig, *, clock: Callable[[], float]) -> None:
        super().__init__(config, clock=lambda: 1_800_000_000.0)


class Shared(MemorySessionStore):
    """Has one session for everybody."""

    def key_for(self, session_id_: str) -> str:
        return "the only one"


class Careless(MemorySessionStore):
    """Sets a cookie without its attributes."""

    def __init__(self, config: SessionConfig, *, clock: Callable[[], float]) -> None:
        super().__init__(config, clock=clock)
        self._cookies: Any = self

    def write(self, value: str, change: Any, *, https: bool | None) -> SetCookie:
        header = CookieWriter(self.config).write(value, change, https=https).header
        return SetCookie(header.replace("HttpOnly; ", ""), change)

    def delete(self, *, https: bool | None) -> SetCookie:
        return CookieWriter(self.config).delete(https=https)


def failures(make: Callable[..., Any], **switches: bool) -> set[str]:
    """Return the tests that a store does not pass."""

    class Suite(StoreConformance):
        def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
            return make(config, clock=clock)

    for name, value in switches.items():
        setattr(Suite, name, value)
    failed = set()
    for name in TESTS:
        try:
            getattr(Suite(), name)()
        except Exception:  # noqa: BLE001 - a store that is wrong may as well raise
            failed.add(name.removeprefix("test_"))
    return failed


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (Overwriting, {"parallel_changes_of_different_keys_are_all_kept"}),
        (
            Reviving,
            {
                "a_kept_cookie_leads_nowhere_after_an_end",
                "a_save_that_comes_late_does_not_bring_an_ended_session_back",
            },
        ),
        (Adopting, {"an_unknown_id_is_never_adopted"}),
        (Forgetful, {"a_session_expires", "a_session_that_is_used_does_not_expire"}),
        (Immortal, {"a_session_expires"}),
        (Shared, {"two_browsers_have_two_sessions"}),
        (Careless, {"the_cookie_follows_the_config"}),
    ],
)
def test_a_store_that_is_wrong_does_not_pass(store: Callable[..., Any], expected: set[str]) -> None:
    """Each defect is found by the test that is about it."""
    assert expected <= failures(store)


def test_a_store_of_others_passes_with_what_it_cannot_do_switched_off() -> None:
    """It has plain dicts, and neither merges nor remembers who has ended."""
    assert failures(PlainStore, merges=False, ends_on_server=False) == set()


def test_every_test_is_reached_by_some_store() -> None:
    """The names above are those of the suite."""
    assert len(TESTS) == 17


class TestSwitches:
    """A test that is switched off needs no store."""

    switches: ClassVar[dict[str, list[str]]] = {
        "ends_on_server": [
            "test_a_kept_cookie_leads_nowhere_after_an_end",
            "test_a_save_that_comes_late_does_not_bring_an_ended_session_back",
        ],
        "merges": ["test_parallel_changes_of_different_keys_are_all_kept"],
        "keeps_time": ["test_a_session_expires", "test_a_session_that_is_used_does_not_expire"],
    }

    @pytest.mark.parametrize("switch", switches)
    def test_a_switch_turns_off_its_tests(self, switch: str) -> None:
        """And those alone: any other one would ask for a store."""
        suite = type("Suite", (StoreConformance,), {switch: False})()
        quiet = []
        for name in TESTS:
            try:
                getattr(suite, name)()
            except NotImplementedError:
                continue
            quiet.append(name)
        assert quiet == sorted(self.switches[switch])


def test_config_of_the_suite_is_valid_for_its_stores() -> None:
    """A subclass may replace it."""

    class Suite(StoreConformance):
        config = config_with(
            cookie_name="mine", max_age=50, path="/App", samesite="strict", secure=False, httponly=False
        )

        def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
            return MemorySessionStore(config, clock=clock)

    for name in TESTS:
        getattr(Suite(), name)()


def test_unittest_runs_the_suite_as_well() -> None:
    """With `TestCase` as a second base; without it, unittest would find nothing and be content."""

    class Suite(StoreConformance, unittest.TestCase):
        def make_store(self, config: SessionConfig, clock: Callable[[], float]) -> Any:
            return MemorySessionStore(config, clock=clock)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Suite).run(result)
    assert (result.testsRun, result.wasSuccessful()) == (len(TESTS), True)
