"""Which contenders stand beside each other, and which ratios between them are shown; one scenario per module."""

from benchmarks.scenarios import asgi, store
from benchmarks.scenarios.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (store.SCENARIO, asgi.SCENARIO)
