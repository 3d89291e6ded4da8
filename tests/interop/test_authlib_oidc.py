"""A login with OpenID Connect through Authlib: the `id_token` has to repeat the nonce that is in the session."""

import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from authlib.integrations.starlette_client import OAuth
from joserfc import jwt
from joserfc.errors import InvalidClaimError
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from visits import CONFIG

from chirp import ASGISessionMiddleware, MemorySessionStore, SessionConfig, rotate_session

ISSUER = "https://provider.test"
KEY = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})


class Provider:
    """Signs who is signed in.

    Attributes:
        nonce: that of the login, as the browser brought it to the page where one signs in.
    """

    def __init__(self) -> None:
        self.nonce = ""
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/keys", self.keys),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def describe(self, request: Request) -> JSONResponse:
        pages = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        urls = {name: ISSUER + path for name, path in pages.items()}
        return JSONResponse({"issuer": ISSUER, "id_token_signing_alg_values_supported": ["RS256"], **urls})

    async def keys(self, request: Request) -> JSONResponse:
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})

    async def token(self, request: Request) -> JSONResponse:
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "ada", "aud": "site", "iat": now, "exp": now + 60, "nonce": self.nonce}
        signed = jwt.encode({"alg": "RS256", "kid": "first"}, claims, KEY)
        return JSONResponse({"access_token": "any", "token_type": "Bearer", "id_token": signed})


@pytest.fixture
def provider() -> Provider:
    return Provider()


def site(config: SessionConfig, provider: Provider) -> Starlette:
    oauth = OAuth()
    oauth.register(
        "provider",
        client_id="site",
        client_secret="of the site",
        server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid", "transport": httpx2.ASGITransport(provider.app)},
    )

    async def login(request: Request) -> Response:
        answer: Response = await oauth.provider.authorize_redirect(request, "http://testserver/back")
        return answer

    async def back(request: Request) -> JSONResponse:
        token = await oauth.provider.authorize_access_token(request)
        rotate_session()
        request.session["user_id"] = token["userinfo"]["sub"]
        return JSONResponse(None)

    async def who(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.session))

    routes = [Route("/login", login), Route("/back", back), Route("/who", who)]
    return Starlette(routes=routes, middleware=[Middleware(ASGISessionMiddleware, config=config)])


def begin(client: TestClient) -> dict[str, Any]:
    """Begin a login; return what the browser brings to the provider."""
    query = parse_qs(urlsplit(client.get("/login").headers["location"]).query)
    return {name: value for name, (value,) in query.items()}


def test_a_login_completes(provider: Provider, each_config: SessionConfig) -> None:
    """Who is signed in is in the session, and what the login needed no longer."""
    with TestClient(site(each_config, provider), follow_redirects=False) as client:
        brought = begin(client)
        provider.nonce = brought["nonce"]
        client.get("/back", params={"code": "any", "state": brought["state"]})
        assert client.get("/who").json() == {"user_id": "ada"}


def test_the_token_of_another_login_is_refused(provider: Provider) -> None:
    """Its nonce is not the one in this browser's session."""
    app = site(replace(CONFIG, store=MemorySessionStore(CONFIG)), provider)
    with TestClient(app, follow_redirects=False) as victim, TestClient(app, follow_redirects=False) as attacker:
        provider.nonce = begin(attacker)["nonce"]
        state = begin(victim)["state"]
        with pytest.raises(InvalidClaimError, match="nonce"):
            victim.get("/back", params={"code": "any", "state": state})
        assert "user_id" not in victim.get("/who").json()
