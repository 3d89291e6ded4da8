"""docs/how-to/operations.md and its Grafana files name what the package tells, and its advice does what it says."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from programs import ROOT, Document
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from servers import OwnServer, StartServer
from telemetry_kit import Told, set_up

from chirp import CookieSessionStore, RedisSessionStore, SessionConfig, rotate_session
from chirp.errors import StoreUnavailable
from chirp.middleware.sessions import telemetry
from chirp.middleware.sessions.session_id import mint
from chirp.testing import Browser, ManualClock

PAGE = Document("docs/how-to/operations.md")
FOLDER = ROOT.joinpath(PAGE.path).parent
ALERTS = yaml.safe_load(ROOT.joinpath("docs/grafana/alerts.yml").read_text("utf-8"))
DASHBOARD = json.loads(ROOT.joinpath("docs/grafana/chirp-sessions.json").read_text("utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
QUERIES += [each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each]
ADDED = {"job", "le"}  # labels that Prometheus adds to what it scrapes, or that a histogram's buckets have
OF_METRICS = ("metric", "unit", "in Prometheus", "attributes", "what it counts")
CONFIG = SessionConfig("of the tests alone, and long enough")

Series = Mapping[str, Mapping[str, set[str]]]  # the values of each label, by the names of a series and of the label


def rows(*headings: str) -> list[list[str]]:
    """Return the cells of the table that has these columns."""
    head = re.escape(f"| {' | '.join(headings)} |")
    table = re.search(rf"^{head}\n\|[-|]+\n((?:\|.*\n)+)", PAGE.text, re.MULTILINE)
    assert table is not None
    return [[cell.strip().strip("`") for cell in line[2:-2].split("|")] for line in table[1].splitlines()]


async def have_everything_happen(url: str, prefix: str, full: OwnServer) -> None:
    """Visit a store until each metric, and each value that an alert asks for, has been told."""
    clock = ManualClock()
    store, refusing = (RedisSessionStore(CONFIG, each, prefix, clock=clock) for each in (url, full.url))
    browser = Browser(store)
    await browser.visit(lambda session: session.update(a=1))
    for request in [await browser.begin() for _ in range(2)]:
        request.session[mint()] = 1
        await request.finish()
    clock.now += 3600
    await browser.visit()
    ended = browser.twin()
    await browser.visit(lambda session: rotate_session())
    await ended.read()
    await Browser(store, mint()).read()
    foreign = mint()
    async with Redis.from_url(url) as client:
        await client.set(store.key_for(foreign), b"foreign", ex=60)
    await Browser(store, foreign).read()
    async with Redis.from_url(full.url) as client:
        await client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await Browser(refusing).visit(lambda session: session.update(a=1))
    await store.aclose()
    await refusing.aclose()


@pytest.fixture
def told(redis_url: str, key_prefix: str, own_server: StartServer) -> Iterator[Told]:
    """What an SDK with Prometheus's exporter has been told when everything has happened."""
    full = own_server()
    with set_up(PrometheusMetricReader()) as told:
        asyncio.run(have_everything_happen(redis_url, key_prefix, full))
        yield told
    full.kill()


@pytest.fixture
def series(told: Told) -> Series:
    """What Prometheus scrapes then."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for family in REGISTRY.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                found[sample.name][label].add(value)
    return found


def test_every_python_block_is_a_program_that_is_executed() -> None:
    """No example escapes these tests."""
    PAGE.expect_all_tested(globals())


def test_every_event_is_in_the_table() -> None:
    """With its level, and with nothing beside them but an outage and a login that is refused."""
    events = [each for each in vars(telemetry).values() if isinstance(each, telemetry.Event)]
    expected = {event.name: logging.getLevelName(event.level) for event in events} | {
        "unavailable": "WARNING",
        "refused": "INFO",
    }
    assert {name: level for name, level, _ in rows("event", "level", "when")} == expected


def test_every_metric_is_in_the_table(told: Told, series: Series) -> None:
    """With its unit, its name in Prometheus, and the attributes that it has."""
    table = rows(*OF_METRICS)
    metrics = told.metrics()
    assert {name.removeprefix("chirp.sessions.") for name, *_ in table} == set(metrics)
    for name, unit, prometheus, attributes, _ in table:
        assert unit == told.units()[name]
        assert {prometheus, f"{prometheus}_count"} & set(series)
        points = metrics[name.removeprefix("chirp.sessions.")]
        assert all(attribute in attributes for point in points for attribute in point.attributes)


def test_the_table_of_metrics_names_every_reason(told: Told) -> None:
    """Of a miss."""
    (cell,) = [row[3] for row in rows(*OF_METRICS) if row[0].endswith("misses")]
    assert set(told.counts("misses")) == set(re.findall(r"`(\w+)`", f"`{cell}`"))


def test_every_query_asks_for_what_is_told(series: Series) -> None:
    """By the names of series, labels and values that Prometheus has of them."""
    for query in QUERIES:
        asked = re.findall(r"(chirp_sessions_\w+)(?:\{(.*?)\})?[\[,]", query)
        labels = {label for name, _ in asked for label in series.get(name, ())} | ADDED
        assert set(re.findall(r"chirp_sessions_\w+", query)) <= {*series, *labels}, query
        for name, selector in asked:
            for label, value in re.findall(r'(\w+)="(.*?)"', selector or ""):
                assert value in series[name][label], query
            assert set(re.findall(r"(\w+)=", selector or "")) <= labels, query
        for by in re.findall(r"by \((.*?)\)", query):
            assert set(by.split(", ")) <= labels, query


def test_every_alert_is_whole_and_in_the_table() -> None:
    """It says how bad it is, what it means, and leads to a section of the run book."""
    headings = re.findall(r"^### (.*)$", PAGE.text, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-"): heading for heading in headings}
    for rule in RULES:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (page, anchor in anchors) == (PAGE.path, True)
    linked = {row[0]: row[2] for row in rows("alert", "it means", "see")}
    assert linked == {
        rule["alert"]: f"[{anchors[anchor]}](#{anchor})"
        for rule in RULES
        for anchor in [rule["annotations"]["runbook"].partition("#")[2]]
    }


def test_the_dashboard_is_one_that_grafana_can_import() -> None:
    """Its panels have ids of their own, do not overlap, and take whatever data source is chosen."""
    panels = DASHBOARD["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["datasource"]["uid"] == "${datasource}" and panel["title"] for panel in panels)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job"}


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the page in a process of its own, since it sets up what a process has once."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)


def test_the_logs_program() -> None:
    """It logs one line of JSON for each event at INFO and above, and both name the same session."""
    rotated, ended = map(json.loads, run(PAGE.programs["logs"]).stderr.splitlines())
    assert (rotated["event"], ended["event"], ended["session"]) == ("rotated", "ended", rotated["session"])
    assert rotated["previous"] != rotated["session"]


def test_the_metrics_program(redis_url: str, key_prefix: str) -> None:
    """A store that is used afterwards is measured."""
    more = f"""
import asyncio
from chirp import RedisSessionStore, SessionConfig
from chirp.testing import Browser
from prometheus_client import generate_latest

async def main():
    store = RedisSessionStore(SessionConfig("x" * 32), {redis_url!r}, {key_prefix!r})
    await Browser(store).visit(lambda session: session.update(a=1))
    await store.aclose()

asyncio.run(main())
print(generate_latest().decode())
"""
    assert 'chirp_sessions_events_total{chirp_sessions_event="created"' in run(PAGE.programs["metrics"] + more).stdout


def cookie_of(config: SessionConfig, clock: ManualClock) -> Browser:
    """Return a browser at a cookie store, for a session to be signed."""
    return Browser(CookieSessionStore(config, clock=clock))


async def test_the_rotation_program() -> None:
    """Nobody is logged out while processes get the configs; what is signed anew no longer needs the old key."""
    names = PAGE.run("rotation")
    old, new, config = names["OLD"], names["NEW"], names["config"]
    clock = ManualClock()
    first_step = SessionConfig(old, fallback_secret_keys=(new,))
    for signed_by, read_by in ((old, first_step), (old, config), (new, first_step), (new, config)):
        browser = cookie_of(SessionConfig(signed_by), clock)
        await browser.visit(lambda session: session.update(user_id=7))
        assert await Browser(CookieSessionStore(read_by, clock=clock), browser.cookie).read() == {"user_id": 7}
    browser = cookie_of(SessionConfig(old), clock)
    await browser.visit(lambda session: session.update(user_id=7))
    clock.now += 3600  # a touch is due
    browser.store = CookieSessionStore(config, clock=clock)
    await browser.visit()
    assert await Browser(CookieSessionStore(SessionConfig(new), clock=clock), browser.cookie).read() == {"user_id": 7}


async def test_after_max_age_nobody_needs_the_old_key() -> None:
    """What was signed with it has expired by then."""
    names = PAGE.run("rotation")
    clock = ManualClock()
    browser = cookie_of(SessionConfig(names["OLD"]), clock)
    await browser.visit(lambda session: session.update(user_id=7))
    clock.now += names["config"].max_age
    assert await Browser(CookieSessionStore(names["config"], clock=clock), browser.cookie).read() == {}


async def test_the_leak_program() -> None:
    """A session that the thief signs is accepted while the leaked key is a fallback, and not without it."""
    rotation, config = PAGE.run("rotation"), PAGE.run("leak")["config"]
    clock = ManualClock()
    thief = cookie_of(SessionConfig(rotation["OLD"]), clock)
    await thief.visit(lambda session: session.update(user_id="admin"))
    thief.store = CookieSessionStore(rotation["config"], clock=clock)
    assert await thief.read() == {"user_id": "admin"}
    thief.store = CookieSessionStore(config, clock=clock)
    assert await thief.read() == {}


async def test_a_secret_protects_nothing_on_redis(redis_url: str, key_prefix: str) -> None:
    """Another one logs nobody out there; another prefix logs everybody out."""
    stores = [
        RedisSessionStore(SessionConfig(secret * 32), redis_url, prefix)
        for secret, prefix in (("a", key_prefix), ("b", key_prefix), ("b", f"{key_prefix}2:"))
    ]
    browser = Browser(stores[0])
    await browser.visit(lambda session: session.update(a=1))
    seen: list[Any] = [await Browser(store, browser.cookie).read() for store in stores]
    for store in stores:
        await store.aclose()
    assert seen == [{"a": 1}, {"a": 1}, {}]


def test_every_section_that_the_page_leads_to_exists() -> None:
    """In this page and in others."""
    for path, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", PAGE.text):
        text = FOLDER.joinpath(path).read_text("utf-8") if path else PAGE.text
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}, anchor
    for path in re.findall(r"\]\(([\w./-]+)\)", PAGE.text):
        assert FOLDER.joinpath(path).exists(), path


def test_the_readme_leads_to_the_page() -> None:
    """Whoever is woken up finds it."""
    assert "(docs/how-to/operations.md)" in ROOT.joinpath("README.md").read_text("utf-8")
