"""The documentation is built without a warning; its links lead somewhere, and every public name is in its reference."""

import importlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from documentation_site import build
from programs import ROOT

MODULES = (
    "chirp",
    "chirp.errors",
    "chirp.fastapi",
    "chirp.middleware.auth",
    "chirp.middleware.sessions",
    "chirp.migration",
    "chirp.testing",
)
PAGES = sorted(path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md"))
CONFIG = yaml.safe_load(ROOT.joinpath("mkdocs.yml").read_text("utf-8"))


class Html(HTMLParser):
    """What a page leads to, what it loads, and the names of its places.

    Attributes:
        links: of `a`.
        loaded: what a browser fetches by itself.
        places: values of `id` and `name`.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link":
            self.loaded.append(found["href"])
        elif "src" in found:
            self.loaded.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    """Every page of the site, read."""
    return {path: Html(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_each_page_is_built(site: Path) -> None:
    """None is lost on the way."""
    assert len(PAGES) > 20
    assert not [page for page in PAGES if not site.joinpath(page).with_suffix(".html").is_file()]


def test_internal_links_lead_somewhere(site: Path, pages: dict[Path, Html]) -> None:
    """To a file of the site, and in a page to a place that is there."""
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            place = unquote(parts.fragment)
            if not target.is_file() or (place and target in pages and place not in pages[target].places):
                broken.append((path.relative_to(site).as_posix(), link))
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Html]) -> None:
    """Neither by a page nor by its styles."""
    loaded = {one for page in pages.values() for one in page.loaded}
    assert any(one.endswith(".css") for one in loaded)
    assert [one for one in loaded if urlsplit(one).netloc] == []
    for styles in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", styles.read_text("utf-8")) == []


def in_nav(entry: Any) -> Iterator[str]:
    """Yield the pages of a piece of the navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from in_nav(each)


def test_each_page_is_in_the_navigation() -> None:
    """Once, and the navigation has no others."""
    assert sorted(in_nav(CONFIG["nav"])) == PAGES


@pytest.mark.parametrize("module", MODULES)
def test_each_public_name_is_in_the_reference(module: str, site: Path, pages: dict[Path, Html]) -> None:
    """By the module that exports it, or by one that chirp's own name comes from."""
    places = set().union(*(pages[path].places for path in site.joinpath("reference").glob("*.html")))
    exported = importlib.import_module(module)
    others = {"Request", "Response"} if module == "chirp" else set()  # Starlette's
    names = set(exported.__all__) - others
    missing = {name for name in names if not places & {f"{where}.{name}" for where in MODULES}}
    assert missing == set()


def test_each_public_module_is_looked_at() -> None:
    """A module with public names that users import is in the list above."""
    hidden = re.compile(r"chirp\.(commands|embedded|middleware\.sessions\.)")  # for the package itself
    found = set()
    for path in ROOT.glob("chirp/**/*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if "\n__all__ = " in path.read_text("utf-8") and not hidden.match(name):
            found.add(name)
    assert found == set(MODULES)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_texts_beside_the_site_lead_somewhere(name: str, pages: dict[Path, Html], site: Path) -> None:
    """To a file, and in a page of the documentation to a place that is there."""
    links = re.findall(r"\]\(([^)\s]+)\)", ROOT.joinpath(name).read_text("utf-8"))
    for parts in map(urlsplit, links):
        if parts.scheme:
            continue
        assert ROOT.joinpath(parts.path).exists(), parts.path
        if parts.fragment:
            page = site / Path(parts.path).relative_to("docs").with_suffix(".html")
            assert parts.fragment in pages[page].places


@pytest.mark.parametrize(
    ("page", "line", "told"),
    [
        ("index.md", "[x](nowhere.md)", "nowhere.md"),
        ("index.md", "[x](tutorial.md#nowhere)", "nowhere"),
        ("reference/errors.md", "::: chirp.errors.Nothing", "chirp.errors.Nothing"),
        ("reference/errors.md", "[x][chirp.errors.Nothing]", "chirp.errors.Nothing"),
        ("new.md", "# Not in the navigation", "new.md"),
    ],
)
def test_a_mistake_fails_the_build(page: str, line: str, told: str, tmp_path: Path) -> None:
    """A link to nowhere, a name that is not there, a page that nobody finds."""
    docs = tmp_path / "docs"
    docs.mkdir()
    kept = {"index.md", "tutorial.md", "reference/errors.md"}
    for each in kept | {page}:
        path = docs / each
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# A page\n\n{line if each == page else ''}\n", "utf-8")
    config = {**CONFIG, "docs_dir": str(docs), "extra_css": [], "nav": sorted(kept)}
    config["plugins"] = ["search", {"mkdocstrings": {"handlers": {"python": {"paths": [str(ROOT)]}}}}]
    tmp_path.joinpath("mkdocs.yml").write_text(yaml.safe_dump(config), "utf-8")
    built = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert built.returncode != 0
    assert told in built.stdout + built.stderr
