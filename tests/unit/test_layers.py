"""Imports point one way, and the core works without Redis installed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chirp

PACKAGE = Path(chirp.__file__).parent
SESSIONS = "chirp.middleware.sessions"

# From the bottom up. A module imports its own layer and those before it, never one after it.
LAYERS = (
    ("errors",),
    (
        "predecessor",
        "config",
        "models",
        "session_id",
        "about",
        "fidelity",
        "codec",
        "typed",
        "expiry",
        "cookie",
        "decision",
        "user_index",
    ),
    ("noting", "session", "current", "opening", "store", "steps", "merging", "metering", "telemetry"),
    (
        "redis_wire",
        "redis_sentinel",
        "redis_client",
        "redis_scripts",
        "redis_steps",
        "batch",
        "group_commit",
        "per_loop",
        "redis_node",
    ),
    ("redis_topology", "redis_cluster", "redis_listening"),
    ("documents", "changes", "outcomes", "server_side", "directory", "session_limit"),
    ("cookie_store", "memory_store", "redis_store", "connections"),
    ("adapter", "fronts"),
    ("closing", "adoption"),
    ("middleware", "asgi"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PURE = LAYERS[1]
COMMAND_LINE = {"checks", "cli.py", "commands", "demo", "operations", "redis_url.py"}
CLOCKS_AND_IO = {"asyncio", "anyio", "redis", "time", "datetime", "socket", "threading"}
FILES = {path.stem: path for path in (PACKAGE / "middleware" / "sessions").glob("*.py") if path.stem != "__init__"}


def imports_of(path: Path, *, at_runtime: bool = False) -> Iterator[str]:
    """Yield the full names of modules that a file imports; those for type checkers only where asked to."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if at_runtime and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(module: str) -> int | None:
    if module.startswith("chirp.errors"):
        return LEVEL["errors"]
    return LEVEL.get(module.removeprefix(f"{SESSIONS}.").split(".")[0]) if module.startswith(SESSIONS) else None


def test_every_module_has_a_layer() -> None:
    """A new one is put somewhere on purpose."""
    assert set(FILES) == set(LEVEL) - {"errors"}


@pytest.mark.parametrize("name", FILES)
def test_a_module_imports_no_layer_above_its_own(name: str) -> None:
    """Design, section 7; what only type checkers read is exempt."""
    upwards = [one for one in imports_of(FILES[name], at_runtime=True) if (layer_of(one) or 0) > LEVEL[name]]
    assert not upwards


@pytest.mark.parametrize("name", FILES)
def test_no_module_imports_the_package_that_imports_it(name: str) -> None:
    """Names come from the module that defines them."""
    assert not [
        one
        for one in imports_of(FILES[name])
        if one.rpartition(".")[0] == SESSIONS and one.rpartition(".")[2] not in FILES
    ]


@pytest.mark.parametrize("name", PURE)
def test_the_lowest_layers_know_no_clock_and_no_io(name: str) -> None:
    """Time is an argument there."""
    assert not {one.split(".")[0] for one in imports_of(FILES[name])} & CLOCKS_AND_IO


def test_errors_import_nothing() -> None:
    """They are at the bottom."""
    assert not list(imports_of(PACKAGE / "errors.py"))


@pytest.mark.parametrize("name", ["outcomes", "changes", "documents", "merging", "steps", "session", "current"])
def test_decisions_know_no_event_loop_and_no_clock(name: str) -> None:
    """What is decided from facts can be tested without either."""
    assert not {one.split(".")[0] for one in imports_of(FILES[name])} & CLOCKS_AND_IO


def test_only_the_redis_modules_import_redis() -> None:
    """Of the library; the command line is another matter."""
    importing = {
        path.stem
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in COMMAND_LINE
        and any(one.split(".")[0] in ("redis", "hiredis") for one in imports_of(path))
    }
    assert importing == {
        "redis_client",
        "redis_cluster",
        "redis_listening",
        "redis_sentinel",
        "redis_store",
        "redis_topology",
        "redis_wire",
    }


def without_redis(program: str) -> str:
    """Run a program in an interpreter that has no package redis, and return what it prints."""
    blocked = "import sys; sys.modules['redis'] = sys.modules['hiredis'] = None\n"
    done = subprocess.run([sys.executable, "-c", blocked + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_can_be_imported_without_redis() -> None:
    """Redis is an extra."""
    assert without_redis("import chirp, chirp.middleware.sessions as s; print(s.MemorySessionStore.__name__)") == (
        "MemorySessionStore"
    )


def test_the_redis_store_says_what_to_install() -> None:
    """A missing extra is a configuration error with the line that mends it, the import error chained."""
    program = f"""
from chirp.errors import ConfigurationError
from {SESSIONS} import RedisSessionStore, SessionConfig
try:
    RedisSessionStore(SessionConfig("x" * 32), "redis://localhost")
except ConfigurationError as error:
    print(error, type(error.__cause__).__name__, sep="|")
"""
    message, cause = without_redis(program).split("|")
    assert ("pip install 'chirp-sessions[redis]'" in message, cause) == (True, "ModuleNotFoundError")


def test_importing_the_sessions_loads_no_demo_and_no_command_line() -> None:
    """An app pays for what it uses."""
    program = (
        f"import sys, {SESSIONS}; print([one for one in ('typer', 'rich', 'uvicorn', 'jinja2') if one in sys.modules])"
    )
    assert without_redis(program) == "[]"


def test_the_library_imports_nothing_of_the_command_line() -> None:
    """The command line is on top of it."""
    names = {f"chirp.{name.removesuffix('.py')}" for name in COMMAND_LINE}
    importing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in COMMAND_LINE
        and any(one == name or one.startswith(f"{name}.") for one in imports_of(path) for name in names)
    }
    assert not importing


@pytest.mark.parametrize("name", ["access", "durability", "facts", "finding", "memory", "server"])
def test_findings_are_made_without_io(name: str) -> None:
    """What is decided from facts can be tested without a server."""
    assert not {one.split(".")[0] for one in imports_of(PACKAGE / "checks" / f"{name}.py")} & CLOCKS_AND_IO


def test_only_metering_imports_opentelemetry() -> None:
    """It is an extra."""
    importing = {
        path.stem for path in PACKAGE.rglob("*.py") if any(one.startswith("opentelemetry") for one in imports_of(path))
    }
    assert importing == {"metering"}
