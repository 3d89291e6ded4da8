"""Every place where this package tells something of a session, a store or a client: what can be in it was looked at.

A new one fails here until somebody has said what of a client's may be in it, and why that does no harm.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import chirp

ROOT = Path(chirp.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
TOLD_TO_WHO_CALLS = {
    "StoreUnavailable",
    "SessionTooLarge",
    "SessionNotSerializable",
    "SessionClosed",
    "SessionLimitReached",
    "SessionError",
    "kind",  # StoreUnavailable or one of its subclasses
}
TOLD_TO_WAITERS = {"tell_failure", "_fail"}  # the text is the second of what they are given
# Never part of an app: for development on one's own machine, and the command line. What the latter tells of a URL is in
# `test_check_command.py` and `test_cli.py`: no secret.
STAND_ALONE = {"checks", "cli.py", "commands", "demo", "embedded.py", "operations", "redis_url.py"}

# What log calls are given besides their text.
LOGGED = {
    "error": "an error of this package (see TOLD), or a StoreUnavailable of a store of others, whose words are theirs",
    "outcome.value": "one of the words of Outcome",
    "session": "twelve hexadecimal digits of a hash",
    "handle": "as `session.handle`: another text is not announced",
    "event.text": "one of the texts in telemetry",
    "INVALID.text": "one of them",
    "place": "the same digits as of session, or words of this package",
    "session.handle": "URL-safe characters; another handle that stood in the store is replaced first",
    "unfit.path": "names of fields, positions, and keys of the session: JSON in ASCII, every control escaped",
    "unfit.why": "words of this package, the name of a class and such a path",
    "text + traceback": "log.exception: of a defect in batch, group or connections; lines are of this package's code",
}

# The fields that log calls give to machines.
FIELDS = {
    "fields": "an event's name, twelve digits of a hash (of two keys, perhaps), and a handle as above",
    "outage(error.session)": "the same digits, or None; of a store of others, whatever it has put there",
    "refusal()": "words of this package",
    "telemetry.outage(error.session)": "the same",
    "telemetry.outage(None)": "no session",
    "telemetry.outage(self._name_if_known(session))": "the same",
}

# What stands in texts of errors that come while requests are served.
TOLD = {
    "LARGEST_COOKIE": "a constant",
    "MOST_MERGES": "a constant",
    "MOST_READINGS": "a constant",
    "len(document)": "a number",
    "most": "a number",
    "path": "keys of the session, which may be a client's, and positions: JSON in ASCII, every control escaped",
    "readable(cause)": "what Redis or the system says: one line, cut before arguments and after 500 characters",
    "readable(failure)": "the same",
    "reason": "of this package's words, a number and the name of a class",
    "self._max_bytes": "a number",
    "self._timeout": "a number",
    "self._timeout_seconds": "a number",
    "timeout_seconds": "a number",
    "session.handle": "as above",
    "size": "a number",
    "slot": "a number",
    "type(cause).__name__": "the name of a class",
    "type(error).__name__": "the same",
}


def calls() -> Iterator[ast.Call]:
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] not in STAND_ALONE:
            tree = ast.parse(path.read_text("utf-8"))
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def expressions(text: ast.expr) -> set[str]:
    """Return what is filled into a text."""
    return {ast.unparse(part.value) for part in ast.walk(text) if isinstance(part, ast.FormattedValue)}


def test_every_log_call_is_known() -> None:
    """Its text is a constant, and what is filled in stands in the table above."""
    found = set()
    for call in calls():
        match call.func:
            case ast.Attribute(value=ast.Name(id="log" | "logging" | "logger"), attr=level) if level in LEVELS:
                text, *arguments = call.args[level == "log" :]  # before the text of `log` is the level
                assert isinstance(text, ast.Constant), ast.unparse(call)
                found |= {ast.unparse(argument) for argument in arguments}
                found |= {"text + traceback"} if level == "exception" else set()
    assert found == set(LOGGED)


def test_every_field_of_a_record_is_known() -> None:
    """What is given to machines stands in the table above."""
    given = {ast.unparse(each.value) for call in calls() for each in call.keywords if each.arg == "extra"}
    assert given == set(FIELDS)


def test_every_text_of_an_error_while_serving_is_known() -> None:
    """What is filled in stands in the table above."""
    found = set()
    for call in calls():
        match call.func:
            case ast.Name(id=name) if name in TOLD_TO_WHO_CALLS and call.args:
                found |= expressions(call.args[0])
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in TOLD_TO_WAITERS:
                found |= expressions(call.args[1])
    assert found == set(TOLD)


def test_no_other_logger_is_used_and_nothing_is_printed() -> None:
    """So that the calls above are all there are."""
    for call in calls():
        match call.func:
            case ast.Attribute(attr="getLogger"):
                assert ast.unparse(call) == "logging.getLogger('chirp.sessions')"
            case ast.Name(id="print"):
                raise AssertionError(ast.unparse(call))
