"""`chirp check`: its options, what it prints, and its exit codes."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from chirp.checks.finding import Finding, Severity
from chirp.commands.shared import LOCAL_REDIS, PREFIX, AsJson, KeyPrefix, RedisUrl, screen, tell_failure
from chirp.errors import ChirpError

FOUND = 1
NOT_CHECKED = 2
COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan", Severity.OK: "green"}


def check(
    redis: RedisUrl = LOCAL_REDIS,
    prefix: KeyPrefix = PREFIX,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a warning, too.")] = False,
) -> None:
    """Look at a live Redis or Valkey server: does it keep sessions safe, and let the store do its work?

    It changes nothing there. As the app's user it tries that user's rights; as an administrator it sees all settings.

    Exit code 0: no error. 1: an error, or with --strict a warning. 2: the server could not be asked.
    """
    from chirp.checks.examine import examine  # noqa: PLC0415 - with the extra `redis`, which `chirp secret` need not have
    from chirp.redis_url import address_of  # noqa: PLC0415

    try:
        address = address_of(redis)
        findings = examine(redis, prefix)
    except ChirpError as error:
        tell_failure("check", error)
        raise typer.Exit(NOT_CHECKED) from None
    if as_json:
        typer.echo(document(address, prefix, findings))
    else:
        screen.print(table(findings), Text(summary(findings)), sep="\n\n", soft_wrap=False)
    failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in failing for finding in findings):
        raise typer.Exit(FOUND)


def document(address: str, prefix: str, findings: Sequence[Finding]) -> str:
    """Return findings as JSON, in the form that docs/how-to/redis.md gives."""
    worst = findings[0].severity
    each = [asdict(finding) for finding in findings]
    return json.dumps({"address": address, "prefix": prefix, "worst": worst, "findings": each}, indent=2)


def table(findings: Sequence[Finding]) -> Table:
    """Return findings as people read them; what is so on several servers is said once."""
    nodes: dict[Finding, list[str]] = {}
    for finding in findings:
        nodes.setdefault(replace(finding, node=""), []).append(finding.node)
    everywhere = {finding.node for finding in findings if finding.node}
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for finding, places in nodes.items():
        text = Text.assemble((finding.check, "bold"), f"  {finding.found}")
        if any(places) and len(everywhere) > 1:
            text.append("  (every node)" if set(places) == everywhere else f"  ({', '.join(places)})", "dim")
        if finding.reason:
            text.append(f"\n{finding.reason}\nRemedy: {finding.remedy}.")
        rows.add_row(Text(finding.severity, COLOURS[finding.severity]), text)
        if finding.reason:
            rows.add_row("", "")
    return rows


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each severity."""
    numbers = Counter(finding.severity for finding in findings)
    return ", ".join(f"{numbers[severity]} {severity}{plural(severity, numbers[severity])}" for severity in Severity)


def plural(severity: Severity, number: int) -> str:
    return "" if number == 1 or severity is Severity.OK else "s"
