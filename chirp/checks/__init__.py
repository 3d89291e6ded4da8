"""`chirp check`: what a live Redis or Valkey server is asked, and what is found of it.

Asking (`line`, `permissions`, `gathering`) puts facts together; deciding (`access`, `durability`, `memory`, `server`)
makes findings of facts and does no I/O; `examine` does both, on every primary of a cluster.
"""
