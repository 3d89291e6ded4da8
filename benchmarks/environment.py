"""What the figures depend on: versions and machine, without names of hosts or paths."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    "chirp-sessions",
    "redis",
    "hiredis",
    "starlette",
    "itsdangerous",
    "msgspec",
    "starsessions",
    "litestar",
    "uvicorn",
    "httptools",
    "uvloop",
)


def versions(server: str) -> dict[str, str | None]:
    """Return the versions of the server, of Python, and of what is measured; None for a package not installed."""
    return {
        "server": server,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{package: _version(package) for package in PACKAGES},
    }


def machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": platform.system(), "architecture": platform.machine()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
