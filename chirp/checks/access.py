"""Findings about who may do what: commands and keys, passwords, TLS and its certificate."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from chirp.checks.facts import Facts, Refusal
from chirp.checks.finding import Finding, Severity, ok
from chirp.checks.permissions import NEEDED, Needed, Use

DAY = 86400
CERTIFICATE_WARNING_DAYS = 30
CERTIFICATE_ERROR_DAYS = 7
EXPECTED = {  # that are no matter of rights, and are reported where they belong
    Refusal.READ_ONLY,
    Refusal.MEMORY,
    Refusal.SNAPSHOT,
    Refusal.REPLICAS,
    Refusal.CLUSTER_DOWN,
    Refusal.NOT_HERE,
}


def findings(facts: Facts) -> Iterator[Finding]:
    """Yield what is found of rights and of the way to the server."""
    yield from permissions(facts)
    yield from commands(facts)
    yield from password(facts)
    yield tls(facts)
    yield from certificate(facts)


def tried(facts: Facts, *reasons: Refusal) -> list[Needed]:
    """Return the commands that were refused for one of these reasons."""
    return [each for each in NEEDED if facts.refusal(each.name) in reasons]


def names(commands: Iterable[Needed]) -> str:
    return ", ".join(each.name for each in commands)


def permissions(facts: Facts) -> Iterator[Finding]:
    denied, keys = tried(facts, Refusal.PERMISSION), tried(facts, Refusal.KEY)
    for use in Use:
        if missing := [each for each in denied if each.use is use]:
            yield Finding(
                "permissions",
                Severity.NOTE if use is Use.COMMAND_LINE else Severity.ERROR,
                f"the user may not call {names(missing)}",
                use.value,
                f"ACL SETUSER <user> {' '.join(each.rule for each in missing)}",
            )
    if keys:
        yield Finding(
            "permissions",
            Severity.ERROR,
            f"the user may not use keys that begin with {facts.prefix} ({names(keys)})",
            "Requests with a session get a 503.",
            f"ACL SETUSER <user> ~{as_pattern(facts.prefix)}, or name the store's key_prefix with --prefix",
        )
    if not denied and not keys:
        yield ok("permissions", f"the user may do what sessions need on keys that begin with {facts.prefix}")


def as_pattern(prefix: str) -> str:
    """Return the pattern of an ACL for keys with this prefix."""
    return "".join(f"\\{each}" if each in "*?[]\\" else each for each in prefix) + "*"


def commands(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with commands that the user may call."""
    if unknown := tried(facts, Refusal.UNKNOWN_COMMAND):
        yield Finding(
            "commands",
            Severity.ERROR,
            f"the server does not know {names(unknown)}",
            "Requests with a session get a 503.",
            "Take rename-command out of the server's configuration; a service without them cannot keep sessions",
        )
    for each in tried(facts, Refusal.OTHER):
        refused = facts.trials[each.name]
        yield Finding(
            "commands",
            Severity.ERROR,
            f'the server refuses {each.name}: "{refused.words if refused else ""}"',
            "Requests with a session get a 503.",
            "Look into the server's configuration and log",
        )


def password(facts: Facts) -> Iterator[Finding]:
    """Yield whether whoever reaches the server may read and write sessions."""
    if facts.open_default is None and facts.link.password:
        return  # the server does not tell
    if facts.open_default is False:
        yield ok("password", "the user default needs one, or is off")
    elif not facts.link.loopback or listens_to_others(facts.config):
        yield Finding(
            "password",
            Severity.ERROR,
            "the user default needs no password, and the server listens to other machines",
            "Whoever reaches the port can read, change and delete every session.",
            "ACL SETUSER default off, with a user of its own for the app; or requirepass in the server's configuration",
        )
    else:
        yield ok("password", "none is needed, and only this machine is listened to")


def listens_to_others(config: Mapping[str, str]) -> bool:
    """Tell whether a server takes connections from other machines without a password, as far as its settings say."""
    ports = {config.get("port", "0"), config.get("tls-port", "0")} - {"0"}
    addresses = [each.lstrip("-") for each in config.get("bind", "").split()]
    local = bool(addresses) and all(map(is_loopback, addresses))
    return bool(ports) and config.get("protected-mode", "yes") == "no" and not local


def is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:  # a name, or a star
        return address == "localhost"


def tls(facts: Facts) -> Finding:
    link = facts.link
    if link.scheme == "unix":
        return ok("tls", "a socket of this machine, which needs none")
    if link.scheme == "redis":
        if link.loopback:
            return ok("tls", "none, and none is needed on this machine's own address")
        sent = "the password and sessions are" if link.password else "sessions are"
        return Finding(
            "tls",
            Severity.WARNING,
            f"{sent} sent in plain text to another machine",
            "Whoever can listen on the way reads the sessions of everyone, and can change them.",
            "tls-port in the server's configuration, and rediss:// in the URL",
        )
    if link.verify != ssl.CERT_REQUIRED:
        return Finding(
            "tls",
            Severity.ERROR,
            "the server's certificate is not checked (ssl_cert_reqs)",
            "Whoever gets in between can be the server: read and change every session, and learn the password.",
            "Take ssl_cert_reqs out of the URL; name the authority with ssl_ca_certs=FILE",
        )
    if not link.check_hostname:
        return Finding(
            "tls",
            Severity.WARNING,
            "the name in the server's certificate is not compared (ssl_check_hostname)",
            "Whoever has any certificate of that authority can get in between and be the server.",
            "ssl_check_hostname=true in the URL, and a certificate for the name or address in it",
        )
    return ok("tls", "the certificate is checked, and the name in it")


def certificate(facts: Facts) -> Iterator[Finding]:
    if facts.link.expires is None:
        return
    days = (facts.link.expires - facts.now) / DAY
    if days >= CERTIFICATE_WARNING_DAYS:
        yield ok("certificate", f"valid for {days:.0f} days")
    else:
        yield Finding(
            "certificate",
            Severity.ERROR if days < CERTIFICATE_ERROR_DAYS else Severity.WARNING,
            f"the server's certificate is valid for {days:.1f} more days (limit: {CERTIFICATE_WARNING_DAYS} days)",
            "When it has expired, no connection can be made, and every request gets a 503.",
            "Renew it, and have the server read it again: CONFIG SET tls-cert-file FILE",
        )
