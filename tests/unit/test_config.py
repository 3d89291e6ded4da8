"""A config that exists is a config that works: what cannot work is refused at construction (promise 17)."""

import dataclasses
import inspect
import warnings
from typing import Any

import pytest
from session_kit import SECRET, config_with

from chirp.errors import ConfigurationError
from chirp.middleware.sessions import CookieSessionStore, MemorySessionStore, SessionConfig

FOUR_HUNDRED_DAYS = 400 * 86400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cookie_name", ""),
        ("cookie_name", "a b"),
        ("cookie_name", "a=b"),
        ("cookie_name", "a;b"),
        ("cookie_name", "a\r\nb"),
        ("cookie_name", "é"),
        ("cookie_name", None),
        ("max_age", 0),
        ("max_age", -1),
        ("max_age", FOUR_HUNDRED_DAYS + 1),
        ("max_age", 1.5),
        ("max_age", True),
        ("max_age", "60"),
        ("path", ""),
        ("path", "app"),
        ("path", "/a;b"),
        ("path", "/a\nb"),
        ("path", "/é"),
        ("path", None),
        ("domain", ""),
        ("domain", "a b"),
        ("domain", "https://example.com"),
        ("domain", "a;Secure"),
        ("domain", "a\0b"),
        ("secure", "yes"),
        ("secure", None),
        ("secure", 1),
        ("httponly", "no"),
        ("samesite", "laxx"),
        ("samesite", ""),
        ("samesite", None),
        ("samesite", ["lax"]),
        ("idle_timeout_seconds", 0),
        ("idle_timeout_seconds", -5),
        ("idle_timeout_seconds", 1.5),
        ("absolute_timeout_seconds", 0),
        ("absolute_timeout_seconds", "1h"),
        ("created_at_key", ""),
        ("created_at_key", None),
        ("created_at_key", "data"),
        ("created_at_key", "about"),
        ("created_at_key", 'a"b'),
        ("created_at_key", "a\\b"),
        ("created_at_key", "a\nb"),
        ("created_at_key", "\ud800"),
        ("last_seen_at_key", "handle"),
        ("last_seen_at_key", "__created_at"),
        ("partitioned", 1),
        ("touch_interval_seconds", -1),
        ("touch_interval_seconds", 86400),
        ("touch_interval_seconds", float("nan")),
        ("touch_interval_seconds", True),
        ("rotation_grace_seconds", -1),
        ("rotation_grace_seconds", 0.5),
        ("max_bytes", 0),
        ("max_bytes", 512 * 1024 * 1024 + 1),
        ("on_store_error", "retry"),
        ("max_sessions_per_user", 0),
        ("max_sessions_per_user", True),
        ("max_sessions_per_user", 10_001),
        ("on_session_limit", "drop"),
        ("user_key", ""),
        ("user_key", 7),
        ("exclude_paths", "/static"),
        ("exclude_paths", ("static",)),
        ("exclude_paths", ("",)),
        ("exclude_paths", ("/a", 1)),
    ],
)
def test_a_value_that_cannot_work_is_refused(field: str, value: Any) -> None:
    """The error names the field and the value."""
    with pytest.raises(ConfigurationError, match=f"^{field}=") as raised:
        config_with(**{field: value})
    assert repr(value) in str(raised.value) or str(value) in str(raised.value)


@pytest.mark.parametrize("field", ["path", "domain"])
def test_an_attribute_of_more_than_1024_bytes_is_refused(field: str) -> None:
    """Browsers ignore it, so the cookie would go to other paths or hosts."""
    longest = "/" + "a" * 1023 if field == "path" else "a" * 1024
    config_with(**{field: longest})
    with pytest.raises(ConfigurationError, match=f"^{field} has 1025 bytes"):
        config_with(**{field: longest + "a"})


@pytest.mark.parametrize("secure", [False, "auto"])
@pytest.mark.parametrize(
    "settings",
    [
        {"cookie_name": "__Host-id"},
        {"cookie_name": "__hOST-id"},
        {"cookie_name": "__Secure-id"},
        {"cookie_name": "__SECURE-id"},
        {"samesite": "none"},
        {"samesite": "None"},
        {"partitioned": True},
    ],
)
def test_what_browsers_take_only_when_secure_needs_secure_true(settings: dict[str, Any], secure: Any) -> None:
    """Not "auto" either: one request over http would lose the cookie."""
    with pytest.raises(ConfigurationError, match=r"^secure=.*must be True"):
        config_with(secure=secure, **settings)


@pytest.mark.parametrize(
    "settings",
    [{"cookie_name": "__Host-id"}, {"cookie_name": "__Secure-id"}, {"samesite": "none"}, {"partitioned": True}],
)
def test_with_secure_true_they_are_taken(settings: dict[str, Any]) -> None:
    """The remedy that the error names works."""
    assert config_with(secure=True, **settings).secure is True


@pytest.mark.parametrize("name", ["__Host-id", "__host-id"])
@pytest.mark.parametrize(("field", "value"), [("domain", "example.com"), ("path", "/app")])
def test_a_host_cookie_takes_no_domain_and_no_path(name: str, field: str, value: str) -> None:
    """In any case of the prefix: browsers drop such a cookie."""
    with pytest.raises(ConfigurationError, match=f"^{field}="):
        config_with(cookie_name=name, secure=True, **{field: value})


@pytest.mark.parametrize("secret", ["", None, b"x" * 40])
def test_a_secret_that_is_no_text_is_refused(secret: Any) -> None:
    """An empty one would sign for everybody."""
    with pytest.raises(ConfigurationError, match=r"^secret_key: must be a non-empty string"):
        SessionConfig(secret_key=secret)


@pytest.mark.parametrize("fallbacks", [("",), (SECRET, None)])
def test_an_empty_fallback_secret_is_refused(fallbacks: Any) -> None:
    """It would verify what everybody can sign."""
    with pytest.raises(ConfigurationError, match=r"^fallback_secret_keys\[\d\]: must be a non-empty string"):
        config_with(fallback_secret_keys=fallbacks)


def test_fallback_secrets_as_one_text_are_refused() -> None:
    """Its characters would each be a secret."""
    with pytest.raises(ConfigurationError, match=r"^fallback_secret_keys: must be a tuple"):
        config_with(fallback_secret_keys=SECRET)


def test_a_secret_of_31_bytes_warns_where_the_config_is_made() -> None:
    """A short secret can be guessed; the warning points at the app's own line."""
    with pytest.warns(UserWarning, match="secret_key has fewer than 32 bytes") as warned:
        SessionConfig(secret_key="x" * 31)
    assert warned[0].filename == __file__


def test_a_short_fallback_secret_warns() -> None:
    """It verifies cookies as the first one does."""
    with pytest.warns(UserWarning, match=r"fallback_secret_keys\[0\] has fewer than 32 bytes"):
        config_with(fallback_secret_keys=("short",))


def test_a_secret_of_32_bytes_does_not_warn() -> None:
    """Bytes count, not characters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SessionConfig(secret_key="é" * 16)


def test_no_secret_is_in_the_repr() -> None:
    """Configs end up in logs and tracebacks."""
    assert SECRET not in repr(config_with(fallback_secret_keys=(SECRET + "2",)))


@pytest.mark.parametrize("field", ["secret_key", "fallback_secret_keys"])
def test_no_secret_is_in_an_error(field: str) -> None:
    """Neither are values of the wrong type."""
    settings: dict[str, Any] = {"secret_key": SECRET, field: b"precious" if field == "secret_key" else ["precious"]}
    with pytest.raises(ConfigurationError) as raised:
        SessionConfig(**settings)
    assert "precious" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "window"),
    [({"max_age": 100}, 100), ({"idle_timeout_seconds": 30}, 30), ({"max_age": 10, "idle_timeout_seconds": 30}, 10)],
)
def test_the_window_is_the_smaller_of_max_age_and_idle_timeout(settings: dict[str, Any], window: int) -> None:
    """A cookie that is gone keeps no session."""
    assert (config_with(**settings).window, config_with(**settings).lifetime.window) == (window, window)


def test_the_touch_interval_is_limited_by_the_idle_timeout() -> None:
    """An interval as long as the window would let sessions in use expire."""
    with pytest.raises(ConfigurationError, match=r"^touch_interval_seconds=30: .*window of 30 seconds"):
        config_with(idle_timeout_seconds=30, touch_interval_seconds=30)


@pytest.mark.parametrize(("interval", "expected"), [(None, 5), (0, 0), (7.5, 7.5)])
def test_the_touch_interval_is_5_percent_unless_given(interval: float | None, expected: float) -> None:
    """0 is a value, not the default."""
    assert config_with(max_age=100, touch_interval_seconds=interval).lifetime.touch_interval == expected


@pytest.mark.parametrize("name", ["max_age", "rotation_grace_seconds"])
def test_the_limits_themselves_are_allowed(name: str) -> None:
    """400 days of Max-Age, no grace at all."""
    value = FOUR_HUNDRED_DAYS if name == "max_age" else 0
    assert getattr(config_with(**{name: value}), name) == value


@pytest.mark.parametrize("store", [CookieSessionStore, MemorySessionStore])
@pytest.mark.parametrize("key", ["created", "é", "data2", "last_seen_at"])
def test_a_name_of_a_stamp_that_is_accepted_works_in_every_store(store: Any, key: str) -> None:
    """A config that exists works."""
    assert store(config_with(created_at_key=key)).config.created_at_key == key


def test_a_config_is_immutable() -> None:
    """A store and its middleware cannot drift apart."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        config_with().max_age = 5  # type: ignore[misc]


def test_the_fields_of_the_contract_stand_in_its_order() -> None:
    """The first thirteen may be given by position, all others by name only."""
    parameters = inspect.signature(SessionConfig).parameters.values()
    by_position = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert " ".join(by_position) == (
        "secret_key cookie_name max_age path domain secure httponly samesite idle_timeout_seconds "
        "absolute_timeout_seconds created_at_key last_seen_at_key store"
    )


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"secret_key": "x" * 40 + "\ud800"}, "secret_key"),
        ({"secret_key": SECRET, "cookie_name": "n" * 1025}, "cookie_name"),
        ({"secret_key": SECRET, "absolute_timeout_seconds": 10**400}, "absolute_timeout_seconds"),
        ({"secret_key": SECRET, "max_age": 10**5000}, "max_age=<int of 4300 digits or more>"),
        ({"secret_key": SECRET, "touch_interval_seconds": 10**5000}, "touch_interval_seconds=<int"),
        ({"secret_key": SECRET, "user_key": "\ud800"}, "user_key"),
        ({"secret_key": SECRET, "user_key": 'a"b'}, "user_key"),
        ({"secret_key": SECRET, "user_key": "a\\b"}, "user_key"),
        ({"secret_key": SECRET, "user_key": "a\nb"}, "user_key"),
    ],
)
def test_what_could_only_fail_later_fails_at_construction(settings: dict[str, Any], field: str) -> None:
    """Promise 17; the message names the field, and no secret."""
    with pytest.raises(ConfigurationError, match=f"^{field}") as raised:
        SessionConfig(**settings)
    assert "x" * 40 not in str(raised.value)
