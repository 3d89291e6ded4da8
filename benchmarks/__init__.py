"""This package's sessions beside other ways to keep them: the same work, on the same server, in turn.

`command` is the command line. Each of its benchmarks is a module with what `benchmark` says: `micro`, `asgi` and
`scale` are scenarios, in which contenders take turns in one process; `http` and `memory` start processes of their own.
`soak` measures nothing: it has servers fail under load, and fails itself when a session is lost, mixed up or revived.

A contender (`contenders/`) is one way to keep sessions. A scenario (`scenario`) says which contenders stand beside each
other and which ratios between them are shown. `measure` times one of them, `rounds` lets them take turns, `results`
makes ratios of the figures, `tables` and `charts` show them. `targets` says what they are to reach.
"""
