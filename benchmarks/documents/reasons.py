"""What stands in the way of each aim, for those that a run misses. No number of a run stands here."""

HTTP = (
    "Most of a request is uvicorn's and the framework's, and sessions cannot make that less; Redis and the load "
    "generator take their share of the same cores."
)
PEERS = (
    "What is left on this side is asyncio's cost of waking a task, one hash and one JSON document; what the peer does "
    "is a command and a connection of its own for each request, and no more."
)
WAITING = (
    "A signed cookie never waits, so each request is over before the next begins. Requests that wait for Redis are all "
    "in flight together, each with the objects of its app, most of them Starlette's, and Python's garbage collector "
    "walks through them."
)

REASONS = {
    "read, CPU added / signed cookie": WAITING,
    "read, instructions added / signed cookie": (
        "What is left is mostly asyncio's future and the waking of a task, decoding JSON and one SHA-256: a batched "
        "round trip without any session work would come close to it."
    ),
    "change, CPU added / signed cookie": (
        WAITING + " A change waits twice, for the load and for the save, so it keeps them alive for longer."
    ),
    "change, instructions added / signed cookie": (
        "A change is two round trips. The second one carries a compare-and-set of the whole document, so that no "
        "parallel change is lost; the cookie has no such promise to keep."
    ),
    "read at 20 tasks, CPU added / signed cookie": (
        "A round trip has a fixed cost, and so few requests share it among themselves; below this number it "
        "weighs more still, and at one task nothing is shared."
    ),
    "read, CPU added / starsessions": PEERS,
    "read, CPU added / Litestar": PEERS,
    "loads per second / one pooled GET per load": (
        "What is left of a load is asyncio's own cost of waking a task, decoding JSON, one SHA-256 and finding the "
        "cookie; the pooled client hashes nothing and checks no stamps."
    ),
    "loads and saves per second / client per operation": (
        "Connecting is cheap on loopback, so a client per operation costs less here than across a network; and a save "
        "encodes, compares and merges, which that client does not do."
    ),
    "latency at 1 task / bare get": (
        "A request that is alone takes one Redis round trip whatever the library does; with finding the cookie, "
        "hashing the id and opening the document on top, it cannot be much faster than a command alone."
    ),
    "connections at 1,000 requests at once": (
        "Loads and saves have two batches in flight each, and when the machine is busy and one of them is overdue, the "
        "next does not wait for it but takes another connection."
    ),
    "p99 / p50 at 1,000 requests at once": (
        "With so many requests in one process, latency is the wait for the event loop. A change waits in that line "
        "several times, and the collector's full passes fall on some requests and not on others."
    ),
    "HTTP, requests/s / signed cookie": HTTP,
    "HTTP, requests/s / starsessions": HTTP,
    "memory after 1,000,000 / 10,000 requests": (
        "The allocator goes on taking a few pages while its arenas fill up; the number of objects is the better sign "
        "of a leak, and it stands below."
    ),
}
