"""The failures of a store that an app meets: how each is caused and ended, and what the app's client is told then.

A new one is a function that causes it until its block ends, and an entry in `FAILURES`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import failures_of_clusters as of_clusters
import failures_of_networks as of_networks
import failures_of_servers as of_servers
from outage import BEFORE, DURING, MOMENTS
from outage_site import WRITES

SECRET_USER = "app:right"
NOTHING: frozenset[str] = frozenset()
SCRIPTED = frozenset({"touch", "change", "empty"})  # one compare-and-set each
NEW_ID = frozenset({"login", "rotate"})  # several steps in one MULTI


class After(Enum):
    """What a request that was told 503 has left in the store."""

    BEFORE = "the session as it was"
    ASKED = "the session wholly as asked: only the acknowledgement was lost"
    EITHER = "one of both"
    ENDED = "no session: an end takes effect although what it should make room for cannot be stored"


@dataclass(frozen=True)
class Failure:
    """One row of the matrix.

    Attributes:
        cause: takes the `Place`; the failure is there until the block ends.
        load_fails: whether a request that comes with a cookie is refused before its handler runs.
        fails: the kinds of requests whose commit fails.
        after: what those leave behind; `After.BEFORE` where nothing is said.
        keeps_cookie: the kinds of requests that are served without deleting the cookie of what has ended.
        waits: the deadline ends it; otherwise it is told at once.
        loses_idle: a connection that nobody used meanwhile is lost, and the first who uses it is told at the deadline.
        moments: when it is caused.
        arguments: of the server's command line.
        user: as whom the stores come, with the password.
        through_proxy: whether each store has a proxy in front of the server.
        cluster: how many nodes; 0 for a single server.
    """

    cause: Callable[[Any], AbstractAsyncContextManager[None]]
    load_fails: bool = True
    fails: frozenset[str] = WRITES
    after: Mapping[str, After] = field(default_factory=dict)
    keeps_cookie: frozenset[str] = NOTHING
    waits: bool = False
    loses_idle: bool = False
    moments: tuple[str, ...] = MOMENTS
    arguments: tuple[str, ...] = ()
    user: str | None = None
    through_proxy: bool = False
    cluster: int = 0


def all_of(after: After) -> dict[str, After]:
    return dict.fromkeys(WRITES, after)


# A login is first put into its user's index; what comes after that is not sent where that is not acknowledged.
ALL_BUT_A_LOGIN = all_of(After.ASKED) | {"login": After.BEFORE}


def denied(command: str, *fails: str, load_fails: bool = False) -> Failure:
    return Failure(
        of_servers.denies(command),
        load_fails=load_fails,
        fails=frozenset(fails),
        moments=MOMENTS if load_fails else (DURING,),
        user=SECRET_USER,
    )


KEEPS_ALL = ("--appendonly", "yes", "--appendfsync", "always")
LOADS_SLOWLY = ("--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no", "--key-load-delay", "5000")
SAVES_TO_A_FOLDER = ("--dbfilename", of_servers.FOLDER)

FAILURES = {
    # The server is not there, or is another one by now.
    "refused": Failure(of_servers.down, arguments=KEEPS_ALL),
    "restarted": Failure(of_servers.restarted, load_fails=False, fails=NOTHING, arguments=KEEPS_ALL),
    "loading": Failure(of_servers.loading, arguments=LOADS_SLOWLY),
    "read-only": Failure(of_servers.read_only, load_fails=False, moments=(DURING,)),
    "master down": Failure(of_servers.without_primary),
    # The server answers, and refuses.
    "out of memory": Failure(
        of_servers.out_of_memory,
        load_fails=False,
        fails=WRITES - {"empty"},
        after={"logout": After.ENDED, "login": After.ENDED},
        moments=(DURING,),
    ),
    "no snapshot": Failure(of_servers.cannot_save, load_fails=False, moments=(DURING,), arguments=SAVES_TO_A_FOLDER),
    "busy": Failure(of_servers.busy),
    "too many clients": Failure(of_servers.full),
    "wrong password": Failure(of_servers.password_changed, user=SECRET_USER),
    "no password": Failure(of_servers.password_required),
    "scripts flushed": Failure(of_servers.scripts_flushed, load_fails=False, fails=NOTHING, moments=(DURING,)),
    "connections killed": Failure(of_servers.connections_killed, load_fails=False, fails=NOTHING),
    "denied mget": denied("mget", *SCRIPTED, "rotate", load_fails=True),
    "denied get": denied("get", "logout", "login"),
    "denied set": denied("set", *(WRITES - {"empty"})),
    "denied del": denied("del", "empty"),
    "denied evalsha": denied("evalsha", *(WRITES - {"create"})),
    "denied eval": denied("eval"),  # needed only until the server knows the scripts
    "denied multi": denied("multi"),  # the steps are taken one by one then, as on a cluster
    "denied exec": denied("exec", *NEW_ID),
    # The network.
    "frozen": Failure(of_servers.frozen, after=all_of(After.EITHER), waits=True),
    "slow": Failure(of_networks.slow, load_fails=False, fails=NOTHING, through_proxy=True),
    "too slow": Failure(of_networks.too_slow, after=ALL_BUT_A_LOGIN, waits=True, through_proxy=True),
    "replies held": Failure(
        of_networks.replies_held, after=ALL_BUT_A_LOGIN, waits=True, loses_idle=True, through_proxy=True
    ),
    "network away": Failure(of_networks.away, waits=True, loses_idle=True, through_proxy=True),
    "network was away": Failure(of_networks.was_away, waits=True, loses_idle=True, through_proxy=True),
    "cut in mid-reply": Failure(of_networks.cut_in_mid_reply, after=ALL_BUT_A_LOGIN, through_proxy=True),
    "load's reply lost": Failure(
        of_networks.reply_lost, load_fails=False, fails=NOTHING, moments=(BEFORE,), through_proxy=True
    ),
    "reply lost": Failure(
        of_networks.reply_lost,
        load_fails=False,
        fails=SCRIPTED,
        after=all_of(After.ASKED),
        keeps_cookie=frozenset({"logout"}),  # repeated, it finds a tombstone, which may be that of a login beside it
        moments=(DURING,),
        through_proxy=True,
    ),
    # The cluster.
    "cluster down": Failure(of_clusters.down, cluster=1),
    "moved": Failure(of_clusters.moved, load_fails=False, fails=NOTHING, cluster=3),
    "ask": Failure(of_clusters.moving, load_fails=False, fails=NOTHING, cluster=3),
    "try again": Failure(
        of_networks.says(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"), through_proxy=True
    ),
}
