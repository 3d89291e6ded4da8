"""Sessions as an operator sees them: how many there are, whose they are, and how to end them.

What is asked is here; options, terminals and exit codes are in `chirp.commands`.
"""
