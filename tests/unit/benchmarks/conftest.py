"""`benchmarks` is imported from the checkout, since nobody installs it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))  # at the end, so that the chirp under test stays the one imported
