"""`chirp secret`."""

import secrets

import typer

SECRET_BYTES = 32  # as many as the key that it makes has, with HMAC-SHA-256


def secret() -> None:
    """Print a new secret_key and nothing else, as for: export SECRET_KEY=$(chirp secret)."""
    typer.echo(secrets.token_urlsafe(SECRET_BYTES))
