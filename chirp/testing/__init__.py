"""For tests of apps and of session stores: sessions of test clients, a clock, outages, races, a conformance suite.

Nothing here needs a test framework, and none of it is meant for production.
"""

from chirp.testing.browser import Browser, InFlight
from chirp.testing.clients import put_session, put_session_sync, read_session, read_session_sync
from chirp.testing.clock import ManualClock
from chirp.testing.conformance import StoreConformance
from chirp.testing.gate import Gate, Stopped
from chirp.testing.interleavings import Explored, Run, Turn, explore
from chirp.testing.outage import OutageSwitch
from chirp.testing.users import signed_in

__all__ = [
    "Browser",
    "Explored",
    "Gate",
    "InFlight",
    "ManualClock",
    "OutageSwitch",
    "Run",
    "Stopped",
    "StoreConformance",
    "Turn",
    "explore",
    "put_session",
    "put_session_sync",
    "read_session",
    "read_session_sync",
    "signed_in",
]
