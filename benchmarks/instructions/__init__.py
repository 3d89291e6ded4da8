"""Instructions per request, counted under valgrind: the figure that a busy machine does not move.

`child` is the program that is counted, `counting` runs it under callgrind, `figures` makes ratios of the counts,
`budget` says how large they may be, `command` is the command line.
"""
