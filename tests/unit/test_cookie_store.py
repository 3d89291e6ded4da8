"""How `CookieSessionStore` signs, and how its keys are rotated."""

import hashlib

import pytest
from itsdangerous import BadSignature, URLSafeTimedSerializer
from session_kit import SECRET
from visits import put_in as put

from chirp.middleware.sessions import CookieSessionStore, SessionConfig, cookie
from chirp.middleware.sessions.cookie_store import SALT, _DocumentText
from chirp.testing import Browser, ManualClock

OLD = "the former secret, which somebody may have seen"


def signer(secret: str, *, salt: str = SALT, digest: object = hashlib.sha256) -> URLSafeTimedSerializer:
    """Make a signer apart from the store's own."""
    kwargs = {"digest_method": digest, "key_derivation": "hmac"}
    return URLSafeTimedSerializer(secret, salt=salt, serializer=_DocumentText, signer_kwargs=kwargs)


async def signed(config: SessionConfig, clock: ManualClock | None = None) -> str:
    browser = Browser(CookieSessionStore(config, clock=clock or ManualClock()))
    await browser.visit(put(a=1))
    assert browser.cookie is not None
    return browser.cookie


async def test_a_signature_is_hmac_sha_256() -> None:
    """Anybody with the secret can verify it, and with SHA-1 it is another one."""
    cookie = await signed(SessionConfig(SECRET))
    assert b'"data":{"a":1}' in signer(SECRET).loads(cookie)
    with pytest.raises(BadSignature):
        signer(SECRET, digest=hashlib.sha1).loads(cookie)


async def test_a_signature_made_for_another_purpose_is_refused() -> None:
    """The salt keeps this store's signatures apart from others made with the same key."""
    document = signer(SECRET).loads(await signed(SessionConfig(SECRET)))
    store = CookieSessionStore(SessionConfig(SECRET), clock=ManualClock())
    same, other = signer(SECRET).dumps(document), signer(SECRET, salt="another purpose").dumps(document)
    found = [dict(await Browser(store, str(cookie, "ascii")).read()) for cookie in (same, other)]
    assert found == [{"a": 1}, {}]


async def test_a_former_key_still_verifies_and_the_new_one_signs() -> None:
    """Nobody is logged out by a new key, and what is written from now on has its signature."""
    clock = ManualClock()
    browser = Browser(CookieSessionStore(SessionConfig(SECRET, fallback_secret_keys=("x" * 40, OLD)), clock=clock))
    browser.cookie = await signed(SessionConfig(OLD), clock)
    assert await browser.read() == {"a": 1}
    assert await browser.visit() is None  # signed anew only when changed or due
    await browser.visit(put(b=2))
    assert b'"b":2' in signer(SECRET).loads(browser.cookie)


async def test_a_key_that_is_no_longer_listed_verifies_nothing() -> None:
    """A leaked key ends with its removal."""
    cookie = await signed(SessionConfig(OLD))
    assert await Browser(CookieSessionStore(SessionConfig(SECRET), clock=ManualClock()), cookie).read() == {}


async def test_reading_a_session_whose_cookie_is_as_large_as_can_be_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new stamp may make the cookie larger than browsers take; then it stays as it is."""
    clock = ManualClock()
    browser = Browser(CookieSessionStore(SessionConfig(SECRET), clock=clock))
    await browser.visit(put(a=1))
    before = browser.cookie
    clock.move(4000.123456)  # with this one
    monkeypatch.setattr(cookie, "LARGEST_COOKIE", len(f"chirp_session{before}"))
    assert await browser.visit() is None
    assert browser.cookie == before
    assert await browser.read() == {"a": 1}
