"""What every contender keeps: the same data for the same task, and what one change does to it."""

import json
from typing import Any

PAYLOAD_BYTES = 250
FIRST_COUNT = 1_000_000  # counts up and keeps its width, so that a change leaves the size as it is
ITEMS = ({"sku": "book-17", "pieces": 1}, {"sku": "lamp-4", "pieces": 2})
ACTIONS = {
    "read": "get the session and look at it",
    "change": "get the session, add one to its counter and store it",
}


def first_session(task: int, payload_bytes: int = PAYLOAD_BYTES) -> dict[str, Any]:
    """Return what a task's session holds before anything has changed it: so many bytes of compact JSON.

    Half of what a larger session has more is items in its cart, half is text. 100 bytes is about the least.
    """
    session: dict[str, Any] = {
        "user_id": 1000 + task,
        "name": f"Reader {task:04}",
        "count": FIRST_COUNT,
        "cart": [],
        "theme": "dark",
        "note": "",
    }
    free = payload_bytes - len(compact_json(session))
    of_items = free // 2
    while (cost := _cost(len(session["cart"]))) <= of_items:
        session["cart"].append(dict(ITEMS[len(session["cart"]) % 2]))
        of_items -= cost
        free -= cost
    session["note"] = "n" * free
    return session


def _cost(items: int) -> int:
    """Return the bytes of one more item when there are that many, its comma included."""
    return COSTS[items % 2] + (items > 0)


def session_after(task: int, changes: int, payload_bytes: int = PAYLOAD_BYTES) -> dict[str, Any]:
    """Return what a task's session must hold after that many changes."""
    return {**first_session(task, payload_bytes), "count": FIRST_COUNT + changes}


def compact_json(session: Any) -> bytes:
    return json.dumps(session, separators=(",", ":")).encode("ascii")


COSTS = tuple(len(compact_json(item)) for item in ITEMS)
