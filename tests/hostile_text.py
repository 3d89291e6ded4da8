"""What may come of hostile settings and of cookies that only a secret protects: see `hostile`."""

import re
import warnings
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from hostile import CONFIG, HANDLERS, NOW, check_lines, check_set_cookie, harmless_log, visit
from itsdangerous.encoding import base64_encode
from itsdangerous.timed import TimestampSigner
from session_kit import SECRET, Clock

from chirp.errors import ConfigurationError, SessionTooLarge
from chirp.middleware.sessions import CookieSessionStore, MemorySessionStore, RedisSessionStore, SessionConfig
from chirp.middleware.sessions.cookie import CookieChange, CookieWriter
from chirp.middleware.sessions.cookie_store import SALT
from chirp.middleware.sessions.store import BuiltInStore

STORE = CookieSessionStore(CONFIG, clock=Clock(NOW))
GENUINE = {"user_id": 7, "cart": ["apple", {"pears": 2}]}
URL_REFUSED = (
    "redis_url cannot be used: it must be redis://[user:password@]host[:port][/db], rediss://... or "
    "unix://[user:password@]/path.sock[?db=n], with options that redis-py knows ("
)
STORE_SHOWN = "<RedisSessionStore: keys chirp:session:*, in use on 0 event loops>"

_names_a_setting = re.compile(rf"({'|'.join(SessionConfig.__slots__)})\b").match


def sign(payload: bytes) -> str:
    """Return a cookie with a good signature, whatever it holds; only who has the secret can make one."""
    signer = TimestampSigner(SECRET, salt=SALT, key_derivation="hmac", digest_method=sha256)
    return signer.sign(payload).decode("latin-1")


def signed_document(document: bytes, *, compressed: bool = False) -> str:
    """Return the cookie of these bytes, or of the ones that they are the compressed form of."""
    return sign((b"." if compressed else b"") + base64_encode(document))


async def genuine_cookie() -> str:
    """Return a cookie that `check_signed_cookie` takes for genuine."""
    session = await STORE.open(None, https=True)
    session.update(GENUINE)
    cookie = await STORE.commit(session, NOW)
    assert cookie is not None
    return cookie.header.partition(";")[0].partition("=")[2]


async def check_signed_cookie(value: str, *, forged: bool = False) -> None:
    """Any text in place of a signed cookie: the session that was signed, or an anonymous one.

    Args:
        value: of the cookie.
        forged: it was signed by somebody who has the secret, so its session may hold anything.
    """
    found = STORE.cookie_reader.read([(b"cookie", b"chirp_session=" + value.encode("utf-8", "surrogatepass"))])
    for name, (handler, may_be_too_large) in HANDLERS.items():
        with harmless_log(SECRET, *([found] if found and len(found) > 40 else [])):  # a shorter one may be a word
            session = await STORE.open(found, https=True)
            assert forged or dict(session) in ({}, GENUINE), f"forged: {dict(session)}"
            try:
                check_set_cookie(await visit(STORE, session, handler))
            except SessionTooLarge:
                assert may_be_too_large or forged, f"{name}: stores too little for that"


def _refused(make: Callable[[], object]) -> ConfigurationError | None:
    try:
        make()
    except ConfigurationError as error:
        check_lines([str(error)], SECRET)
        return error
    return None


def check_redis_url(url: str) -> None:
    """Any text as `redis_url`: a store, or a ConfigurationError that repeats nothing of it."""
    error = _refused(lambda: RedisSessionStore(CONFIG, url))
    if error is None:
        assert repr(RedisSessionStore(CONFIG, url)) == STORE_SHOWN
    else:
        text = str(error)
        assert text.startswith(URL_REFUSED), text
        assert text[len(URL_REFUSED) : -1].isidentifier(), text  # the class of the parser's error
        assert error.__cause__ is None
        assert error.__suppress_context__, "the parser's error may hold the password, and would be shown"


def check_setting(name: str, value: Any) -> None:
    """Any value of a setting: a ConfigurationError in one line, or a config that every store works with."""
    settings: dict[str, Any] = {"secret_key": SECRET, name: value}
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of a short fallback secret
        error = _refused(lambda: SessionConfig(**settings))
        if error is not None:
            assert _names_a_setting(str(error)), str(error)
            return
        config = SessionConfig(**settings)
    _check_key_prefix(config, "chirp:session:")
    for store in (CookieSessionStore(config), MemorySessionStore(config)):
        _check_written(store)


def check_key_prefix(prefix: Any) -> None:
    """Any value of `key_prefix`: a ConfigurationError in one line, or keys that begin with it."""
    error = _refused(lambda: _check_key_prefix(CONFIG, prefix))
    assert error is None or str(error).startswith("key_prefix"), str(error)


def _check_key_prefix(config: SessionConfig, prefix: Any) -> None:
    store = RedisSessionStore(config, "redis://localhost", prefix)
    key = store.key_for("i" * 43)
    assert key.startswith(prefix)
    assert len(key.encode("utf-8")) <= 4 * 512 + 64
    _check_written(store)


def _check_written(store: BuiltInStore) -> None:
    """Check that a document comes back, and that Set-Cookie is one header with the attributes of the config."""
    codec, writer = store._codec, CookieWriter(store.config)
    try:
        document = codec.encode(created_at=NOW, last_seen_at=NOW, handle="h", data=b'{"a":1}')
    except SessionTooLarge:
        assert len(store.config.created_at_key + store.config.last_seen_at_key) > 40  # a name as long as the limit
    else:
        opened = codec.decode(document)
        assert opened is not None
        assert (opened.created_at, opened.data) == (NOW, {"a": 1})
    for https in (True, False, None):
        for header in (writer.write("v", CookieChange.NEW, https=https), writer.delete(https=https)):
            first, *attributes = header.header.split(";")
            assert header.header.isascii()
            assert header.header.isprintable()
            assert first.startswith(f"{store.config.cookie_name}=")
            names = [attribute.partition("=")[0].strip() for attribute in attributes]
            assert sorted(names) == sorted(_attributes(store.config, https, names)), header.header


def _attributes(config: SessionConfig, https: bool | None, names: list[str]) -> list[str]:
    """Return the names of the attributes that a config's cookie has, one of each."""
    secure = https is not False if config.secure == "auto" else config.secure
    optional = {
        "Domain": config.domain is not None,
        "HttpOnly": config.httponly,
        "Partitioned": config.partitioned,
        "Secure": secure,
        "Expires": "Expires" in names,  # a deletion's
    }
    return ["Max-Age", "Path", "SameSite", *(name for name, there in optional.items() if there)]
