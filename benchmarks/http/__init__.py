"""One uvicorn worker under real load on loopback, with and without sessions, and with peers.

`benchmark` is the command's. Contenders take turns; in each, `worker` is the server, a process of its own, and
`generator` is the browsers, another one. `turn` and `child` start and end both, `figures` makes medians and ratios, and
`report` shows them.
"""
