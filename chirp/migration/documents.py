"""What old sessions look like when they are read. No clock, no I/O."""

import json

from chirp.middleware.sessions.predecessor import Data

STARSESSIONS_METADATA = "__metadata__"


def read_object(document: str | bytes) -> Data | None:
    """Return the JSON object that a document is; None for anything else."""
    try:
        data = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def without_metadata(data: Data | None) -> Data | None:
    """Return what the app has put into a session of starsessions."""
    if data is not None:
        data.pop(STARSESSIONS_METADATA, None)
    return data
