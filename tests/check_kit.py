"""Looking at servers as `chirp check` does, and what is to be mended of what it finds."""

import time
from collections.abc import Callable

from chirp.checks.examine import examine
from chirp.checks.finding import Finding, Severity

PREFIX = "chirp:session:"
GOOD = ("--maxmemory", "100mb", "--maxmemory-policy", "noeviction", "--appendonly", "yes", "--appendfsync", "everysec")
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def findings(url: str, clock: Callable[[], float] = time.time) -> list[Finding]:
    """Look at a server; how fast it answers is left out, since a busy machine is no misconfiguration."""
    return [finding for finding in examine(url, PREFIX, clock=clock) if finding.check != "latency"]


def bad(found: list[Finding]) -> list[tuple[str, Severity]]:
    """Return what is to be mended."""
    return [(finding.check, finding.severity) for finding in found if finding.severity in (ERROR, WARNING)]


def only(found: list[Finding], check: str) -> Finding:
    (finding,) = [each for each in found if each.check == check]
    return finding
