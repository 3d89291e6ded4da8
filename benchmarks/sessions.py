"""What every contender keeps: the same data for the same task, and what one change does to it."""

import json
from typing import Any

PAYLOAD_BYTES = 250
FIRST_COUNT = 1_000_000  # counts up and keeps its width, so that a change leaves the size as it is
ACTIONS = {
    "read": "get the session and look at it",
    "change": "get the session, add one to its counter and store it",
}


def first_session(task: int) -> dict[str, Any]:
    """Return what a task's session holds before anything has changed it: 250 bytes of compact JSON."""
    session: dict[str, Any] = {
        "user_id": 1000 + task,
        "name": f"Reader {task:04}",
        "count": FIRST_COUNT,
        "cart": [{"sku": "book-17", "pieces": 1}, {"sku": "lamp-4", "pieces": 2}],
        "theme": "dark",
        "note": "",
    }
    session["note"] = "n" * (PAYLOAD_BYTES - len(compact_json(session)))
    return session


def session_after(task: int, changes: int) -> dict[str, Any]:
    """Return what a task's session must hold after that many changes."""
    return {**first_session(task), "count": FIRST_COUNT + changes}


def compact_json(session: dict[str, Any]) -> bytes:
    return json.dumps(session, separators=(",", ":")).encode("ascii")
