"""Run pytest once for each server program that CHIRP_TEST_SERVERS names, in the order given, and tell which failed."""

import os
import subprocess
import sys
from pathlib import Path

HOW = (
    "CHIRP_TEST_SERVERS names no program: list them as in PATH, "
    "such as /opt/redis-7/bin/redis-server:/opt/valkey-8/bin/valkey-server"
)


def named_programs(listed: str) -> list[Path]:
    """The programs of a list that is written as PATH is.

    Raises:
        SystemExit: there is none, or one of them cannot be run.
    """
    programs = [Path(each) for each in listed.split(os.pathsep) if each]
    if not programs:
        sys.exit(HOW)
    for program in programs:
        if not os.access(program, os.X_OK) or program.is_dir():
            sys.exit(f"CHIRP_TEST_SERVERS: {program} is no program that can be run")
    return [program.absolute() for program in programs]


def run(programs: list[Path], arguments: list[str]) -> list[Path]:
    """Run pytest with each program as the server of all its tests; return those with which it failed."""
    failed = []
    for program in programs:
        environ = {name: value for name, value in os.environ.items() if name != "CHIRP_TEST_REDIS_URL"}
        command = [sys.executable, "-m", "pytest", *arguments]
        if subprocess.run(command, env=environ | {"CHIRP_TEST_SERVER": str(program)}, check=False).returncode:
            failed.append(program)
    return failed


if __name__ == "__main__":
    if failed := run(named_programs(os.environ.get("CHIRP_TEST_SERVERS", "")), sys.argv[1:]):
        sys.exit(f"failed with {', '.join(map(str, failed))}")
