"""For tests of apps and of session stores: a browser, a clock, a gate, a conformance suite, and every interleaving.

Nothing here needs a test framework, and none of it is meant for production.
"""

from chirp.testing.browser import Browser, InFlight
from chirp.testing.clock import ManualClock
from chirp.testing.conformance import StoreConformance
from chirp.testing.gate import Gate, Stopped
from chirp.testing.interleavings import Explored, Run, Turn, explore

__all__ = [
    "Browser",
    "Explored",
    "Gate",
    "InFlight",
    "ManualClock",
    "Run",
    "Stopped",
    "StoreConformance",
    "Turn",
    "explore",
]
