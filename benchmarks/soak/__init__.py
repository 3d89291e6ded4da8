"""An app under load while its servers are killed, frozen, cut off and failed over. Nothing may be lost, or come back.

`benchmark` is the command's. In each phase (`phases`) two workers serve one app (`app`) under two fronts, virtual
browsers (`browser`) make parallel requests over HTTP, and `events` does to the servers what the settings say. What each
browser may see is in `expected`, which knows no network; `figures` makes the results, `report` shows them.
"""
