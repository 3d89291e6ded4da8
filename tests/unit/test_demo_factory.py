"""The demo for a server of one's own choice."""

import pytest

from chirp.demo.factory import app
from chirp.errors import ConfigurationError


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_redis_it_says_which_variable_names_one(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """No worker starts a server that the others do not have."""
    monkeypatch.delenv("CHIRP_REDIS_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("CHIRP_REDIS_URL", value)
    with pytest.raises(ConfigurationError, match="CHIRP_REDIS_URL is not set"):
        app()
