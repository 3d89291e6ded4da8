"""SessionConfig: every setting, checked once at construction.

A config that exists is a config that works: whatever browsers would silently drop or a store could not keep
is refused here, with the field, the value, the limit and the remedy.
"""

import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from chirp.errors import ConfigurationError
from chirp.middleware.sessions.expiry import Lifetime, default_touch_interval
from chirp.middleware.sessions.models import check_migrate, model_of
from chirp.middleware.sessions.predecessor import Predecessor

if TYPE_CHECKING:
    from chirp.middleware.sessions.store import SessionStore

FOUR_HUNDRED_DAYS = 400 * 86400  # RFC 6265bis, section 5.5: user agents cap a cookie's lifetime there
LONGEST_ATTRIBUTE = 1024  # RFC 6265bis, section 5.6: longer attribute values are ignored
LONGEST_LIFE = 100 * 365 * 86400
SHORT_SECRET = 32
MOST_SESSIONS = 10_000  # of one user; they are read at each login to be counted
RESERVED_FIELDS = ("handle", "about", "data")  # names that the stored document uses itself

_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII).fullmatch  # RFC 9110, section 5.6.2
_attribute = re.compile(r"[\x20-\x3a\x3c-\x7e]*", re.ASCII).fullmatch  # RFC 6265, section 4.1.1: no CTL, no ";"
_hostname = re.compile(r"\.?[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The settings of sessions; immutable, so derive a variant with `dataclasses.replace`.

    Attributes:
        secret_key: signs the cookies of `CookieSessionStore`; 32 random characters or more. Never in a repr.
        cookie_name: name of the cookie. `__Host-` names are the best protection against planted cookies.
        max_age: seconds; the cookie's Max-Age and the longest time a session lives unseen, unless it has a lifetime of
            its own (`Session.set_lifetime`). 1 to 400 days' worth.
        path: the cookie's Path.
        domain: the cookie's Domain; None binds the cookie to the one host that set it.
        secure: whether the cookie travels over https only. "auto": whenever the request came over https.
        httponly: whether scripts are kept from reading the cookie.
        samesite: "lax", "strict" or "none" (which needs `secure=True`).
        idle_timeout_seconds: seconds without a request after which a session ends; None leaves `max_age`.
        absolute_timeout_seconds: seconds after its creation at which a session ends, however busy; None: never.
        created_at_key: where the time of creation stands in the stored document.
        last_seen_at_key: where the time of the last touch stands in the stored document.
        store: where sessions live; None means `CookieSessionStore(config)`.
        fallback_secret_keys: former values of `secret_key` that still verify, newest first.
        partitioned: whether the cookie is partitioned by top-level site (CHIPS); needs `secure=True`.
        touch_interval_seconds: seconds by which `last_seen_at` may lag; None: 5 % of the sliding window
            `min(max_age, idle_timeout_seconds)`, at most 300. A session lives at least window - interval.
        rotation_grace_seconds: seconds a dead id is remembered, so that requests in flight cannot revive it, and a
            logout that runs beside a rotation finds what the session was rotated to; with 0 it does not.
        max_bytes: largest stored document, in bytes.
        on_store_error: what a request gets while the store is out: "unavailable" answers 503, "anonymous"
            runs it with an empty session that is not persisted.
        user_key: the session key that ties a session to its user.
        max_sessions_per_user: sessions that a user may have at once, on a server-side store; None: any number.
        on_session_limit: what a login beyond that does. "end_oldest" ends the user's oldest session; "refuse" answers
            409, and the session that the browser had goes on. Of logins at the same time more may be refused or ended
            than have to be, never fewer, and what a browser had before may end with a login that is refused.
        record_client: whether what is stored of a session says by which user agent (256 characters) and address it was
            seen last. It is written along with what is stored anyway, so it lags as `last_seen_at` does; in the cookie
            store it takes room in the cookie. Both are personal data: say so to your users, and keep no session longer
            than you need it. Turned off again, what has been recorded stays until its sessions end. Behind a proxy the
            address is the proxy's, unless the server trusts its forwarded headers.
        close_ended: whether WebSockets and streamed responses are closed when their session ends, by whatever process:
            within milliseconds by a message of the store, or within some 10 seconds where that was missed. Needs a
            server-side store.
        exclude_paths: path prefixes (whole segments, as routes see them: without a `root_path`) that never load a
            session.
        model: class of `Session.typed`: a msgspec.Struct, a dataclass or a pydantic BaseModel, with a default for every
            field. What is stored is validated with it when it is loaded; what does not fit makes an anonymous session
            and a warning, and stays in the store as it is.
        migrate: takes the data that does not fit the model, a dict, and returns data that does. It is stored at the
            end of the request. It may be asked for one session by several requests at once, and again.
        predecessors: what had the app's sessions before, from `chirp.migration`. A request that has a cookie of one of
            them, and none of this package's, goes on with that session: it is stored as a new one under a new id, the
            old one ends, and its cookie is deleted. Where there are several, the first that has data counts. The
            middlewares do this; a bare `store.load` does not.

    Raises:
        ConfigurationError: a value, or a combination of values, that cannot work.

    Warns:
        UserWarning: a secret shorter than 32 bytes.
    """

    secret_key: str = field(repr=False)
    cookie_name: str = "chirp_session"
    max_age: int = 86400
    path: str = "/"
    domain: str | None = None
    secure: bool | Literal["auto"] = "auto"
    httponly: bool = True
    samesite: str = "lax"
    idle_timeout_seconds: int | None = None
    absolute_timeout_seconds: int | None = None
    created_at_key: str = "__created_at"
    last_seen_at_key: str = "__last_seen_at"
    store: "SessionStore | None" = None
    fallback_secret_keys: tuple[str, ...] = field(default=(), repr=False, kw_only=True)
    partitioned: bool = field(default=False, kw_only=True)
    touch_interval_seconds: float | None = field(default=None, kw_only=True)
    rotation_grace_seconds: int = field(default=30, kw_only=True)
    max_bytes: int = field(default=65536, kw_only=True)
    on_store_error: Literal["unavailable", "anonymous"] = field(default="unavailable", kw_only=True)
    user_key: str = field(default="user_id", kw_only=True)
    max_sessions_per_user: int | None = field(default=None, kw_only=True)
    on_session_limit: Literal["end_oldest", "refuse"] = field(default="end_oldest", kw_only=True)
    exclude_paths: tuple[str, ...] = field(default=(), kw_only=True)
    record_client: bool = field(default=False, kw_only=True)
    close_ended: bool = field(default=False, kw_only=True)
    model: type[Any] | None = field(default=None, kw_only=True)
    migrate: Callable[[dict[str, Any]], dict[str, Any]] | None = field(default=None, kw_only=True)
    predecessors: tuple[Predecessor, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        _check_secrets(self)
        _check_cookie_name(self)
        _check_attributes(self)
        _check_secure_rules(self)
        _check_times(self)
        _check_document(self)
        _check_session_limit(self)
        _check_paths(self)
        if self.model is not None:
            model_of(self.model)
        check_migrate(self.model, self.migrate)
        _check_predecessors(self)

    @property
    def window(self) -> int:
        """Seconds a session lives after it was last seen, if it has no `max_age` of its own."""
        return self.max_age if self.idle_timeout_seconds is None else min(self.max_age, self.idle_timeout_seconds)

    @property
    def lifetime(self) -> Lifetime:
        """The time limits, ready for arithmetic."""
        interval = self.touch_interval_seconds
        return Lifetime(
            window=self.window,
            absolute=self.absolute_timeout_seconds,
            touch_interval=default_touch_interval(self.window) if interval is None else interval,
            idle=self.idle_timeout_seconds,
            set_interval=interval,
        )


def refusal(name: str, value: object, rule: str) -> ConfigurationError:
    """Return the error for a setting; of a whole number too long for decimal text it tells the size."""
    try:
        shown = repr(value)
    except ValueError:  # more digits than sys.get_int_max_str_digits() allows
        shown = f"<{type(value).__name__} of {sys.get_int_max_str_digits()} digits or more>"
    return ConfigurationError(f"{name}={shown}: {rule}")


def _check_secrets(config: SessionConfig) -> None:
    if not isinstance(config.fallback_secret_keys, tuple):
        raise ConfigurationError("fallback_secret_keys: must be a tuple of strings, newest first")
    for name, secret in (
        ("secret_key", config.secret_key),
        *((f"fallback_secret_keys[{index}]", secret) for index, secret in enumerate(config.fallback_secret_keys)),
    ):
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError(f"{name}: must be a non-empty string; make one with secrets.token_urlsafe(32)")
        try:
            size = len(secret.encode("utf-8"))
        except UnicodeEncodeError:
            raise ConfigurationError(f"{name}: must be text that UTF-8 can encode, without lone surrogates") from None
        if size < SHORT_SECRET:
            warnings.warn(
                f"{name} has fewer than {SHORT_SECRET} bytes and may be guessed; "
                "make one with secrets.token_urlsafe(32)",
                stacklevel=4,
            )


def _check_cookie_name(config: SessionConfig) -> None:
    if not isinstance(config.cookie_name, str) or not _token(config.cookie_name):
        raise refusal(
            "cookie_name", config.cookie_name, "must be a token of RFC 9110: no separators, spaces or controls"
        )
    if len(config.cookie_name) > LONGEST_ATTRIBUTE:
        raise ConfigurationError(
            f"cookie_name has {len(config.cookie_name)} bytes: must be at most {LONGEST_ATTRIBUTE}, "
            "to leave room for a value"
        )


def _check_attributes(config: SessionConfig) -> None:
    if config.samesite not in ("lax", "strict", "none", "Lax", "Strict", "None"):
        raise refusal("samesite", config.samesite, 'must be "lax", "strict" or "none"')
    if not isinstance(config.secure, bool) and config.secure != "auto":
        raise refusal("secure", config.secure, 'must be True, False or "auto"')
    for name, flag in (("httponly", config.httponly), ("partitioned", config.partitioned)):
        if not isinstance(flag, bool):
            raise refusal(name, flag, "must be True or False")
    for name, value in (("path", config.path), ("domain", config.domain)):
        if value is None and name == "domain":
            continue
        if not isinstance(value, str) or not _attribute(value):
            raise refusal(name, value, 'must be text without control characters and ";"')
        if len(value) > LONGEST_ATTRIBUTE:
            raise ConfigurationError(f"{name} has {len(value)} bytes: browsers ignore more than {LONGEST_ATTRIBUTE}")
    if not config.path.startswith("/"):
        raise refusal("path", config.path, 'must start with "/"')
    if config.domain is not None and not _hostname(config.domain):
        raise refusal("domain", config.domain, "must be a host name such as example.com; None for this host only")


def _check_secure_rules(config: SessionConfig) -> None:
    """RFC 6265bis, sections 4.1.2.5, 4.1.3 and 5.6: what browsers refuse unless the cookie is Secure."""
    prefix = config.cookie_name.lower()
    needs = (
        ("a __Host- cookie_name", prefix.startswith("__host-")),
        ("a __Secure- cookie_name", prefix.startswith("__secure-")),
        ('samesite="none"', config.samesite.lower() == "none"),
        ("partitioned=True", config.partitioned),
    )
    for what, applies in needs:
        if applies and config.secure is not True:
            raise refusal("secure", config.secure, f"must be True with {what}: browsers drop the cookie otherwise")
    if prefix.startswith("__host-"):
        if config.domain is not None:
            raise refusal("domain", config.domain, "must be None with a __Host- cookie_name")
        if config.path != "/":
            raise refusal("path", config.path, 'must be "/" with a __Host- cookie_name')


def _check_times(config: SessionConfig) -> None:
    check_max_age("max_age", config.max_age)
    for name in ("idle_timeout_seconds", "absolute_timeout_seconds"):
        value = getattr(config, name)
        if value is not None:
            _check_whole(name, value, 1, LONGEST_LIFE, "seconds, or None")
    _check_whole("rotation_grace_seconds", config.rotation_grace_seconds, 0, 86400, "seconds")
    interval = config.touch_interval_seconds
    if interval is not None and (
        isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 <= interval < config.window
    ):
        raise refusal(
            "touch_interval_seconds",
            interval,
            f"must be from 0 to less than the sliding window of {config.window} seconds "
            "(the smaller of max_age and idle_timeout_seconds)",
        )


def _check_document(config: SessionConfig) -> None:
    _check_whole("max_bytes", config.max_bytes, 256, 512 * 1024 * 1024, "bytes (Redis holds at most 512 MiB a value)")
    if config.on_store_error not in ("unavailable", "anonymous"):
        raise refusal("on_store_error", config.on_store_error, 'must be "unavailable" or "anonymous"')
    for name in ("created_at_key", "last_seen_at_key", "user_key"):
        value = getattr(config, name)
        if not isinstance(value, str) or not value:
            raise refusal(name, value, "must be a non-empty string")
        if not value.isprintable() or '"' in value or "\\" in value:
            raise refusal(name, value, "must be printable text without double quotes and backslashes")
        if name != "user_key" and value in RESERVED_FIELDS:
            raise refusal(name, value, f"the stored document uses {', '.join(RESERVED_FIELDS)} itself")
    if config.created_at_key == config.last_seen_at_key:
        raise refusal("last_seen_at_key", config.last_seen_at_key, "must differ from created_at_key")


def _check_session_limit(config: SessionConfig) -> None:
    if config.max_sessions_per_user is not None:
        _check_whole("max_sessions_per_user", config.max_sessions_per_user, 1, MOST_SESSIONS, "sessions, or None")
    if config.on_session_limit not in ("end_oldest", "refuse"):
        raise refusal("on_session_limit", config.on_session_limit, 'must be "end_oldest" or "refuse"')


def _check_paths(config: SessionConfig) -> None:
    paths = config.exclude_paths
    if not isinstance(paths, tuple) or not all(isinstance(path, str) and path.startswith("/") for path in paths):
        raise refusal("exclude_paths", paths, 'must be a tuple of path prefixes that start with "/"')


def _check_predecessors(config: SessionConfig) -> None:
    given = config.predecessors
    if not isinstance(given, tuple) or not all(isinstance(each, Predecessor) for each in given):
        raise refusal("predecessors", given, "must be a tuple of predecessors from chirp.migration")
    if config.cookie_name in {each.cookie_name for each in given}:
        raise refusal(
            "cookie_name",
            config.cookie_name,
            "must differ from a predecessor's, whose cookie is deleted",
        )


def check_max_age(name: str, value: object) -> None:
    """Check the seconds that a session lives unseen.

    Raises:
        ConfigurationError: they are no whole number from 1 to 400 days.
    """
    _check_whole(name, value, 1, FOUR_HUNDRED_DAYS, "seconds")


def _check_whole(name: str, value: object, least: int, most: int, unit: str) -> None:
    limits = f"must be from {least} to {most} {unit}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(name, value, f"must be a whole number; {limits}")
    if not least <= value <= most:
        raise refusal(name, value, limits)
