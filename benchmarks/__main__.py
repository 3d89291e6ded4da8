"""`python -m benchmarks`."""

from benchmarks.command import commands

commands(prog_name="python -m benchmarks")
