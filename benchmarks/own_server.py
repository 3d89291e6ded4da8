"""A real server that may be frozen, killed and started again; tests and the soak use it."""

import os
import signal
from contextlib import suppress

from chirp.embedded import EmbeddedServer


class OwnServer(EmbeddedServer):
    """A server of one's own: it may be frozen, killed and started again at the same address."""

    def freeze(self) -> None:
        """Stop answering, with every connection still open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash does; `start()` brings it back with what it had put on disk."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.stop()
