"""This package's sessions beside other ways to keep them: the same work, on the same server, in one process, in turn.

A contender (`contenders/`) is one way to keep sessions. A scenario (`scenarios/`) says which contenders stand beside
each other and which ratios between them are shown. `measure` times one of them, `rounds` lets them take turns,
`results` makes ratios of the figures, `command` is the command line.
"""
