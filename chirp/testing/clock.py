"""Time that passes when a test says so."""


class ManualClock:
    """Unix seconds that move only when told to; give it to a store as `clock`.

    Args:
        start: Unix seconds.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.now: float = start

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
