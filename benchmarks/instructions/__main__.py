"""`python -m benchmarks.instructions`."""

from benchmarks.instructions.command import commands

commands(prog_name="python -m benchmarks.instructions")
