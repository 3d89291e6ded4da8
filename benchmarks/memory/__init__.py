"""What sessions take: in a process after a million requests, and in Redis when there are a million of them.

`benchmark` is the command's. `visits` is the process that serves the requests, `stored` counts bytes in Redis, and
`report` shows both.
"""
