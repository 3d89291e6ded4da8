"""What is published has what users need, and nothing else."""

import re
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def files_of_chirp() -> set[str]:
    found = (path for path in (ROOT / "chirp").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_in(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        found = next(each for each in archive.namelist() if each.endswith(f".dist-info/{name}"))
        return archive.read(found).decode()


def metadata_of(wheel: Path) -> Message:
    return Parser().parsestr(text_in(wheel, "METADATA"))


def test_both_pass_twine(built: Any) -> None:
    """The page that an index makes of the README renders, and no field is wrong."""
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist], check=True)


def test_the_page_on_an_index_links_to_nothing_that_is_not_there(built: Any) -> None:
    """A relative link of the README would lead into the index itself."""
    page = str(metadata_of(built.wheel).get_payload())
    assert "## A whole program" in page
    assert [to for to in re.findall(r"\]\((.*?)\)", page) if not to.startswith(("https:", "http:"))] == []


@pytest.mark.parametrize(
    "text", ["'.[demo]'", "CPU that sessions add", "Contributing"], ids=["clone", "chart", "files"]
)
def test_the_page_on_an_index_leaves_out_what_only_the_repository_has(built: Any, text: str) -> None:
    """A command for a clone, a picture, and the files at its root."""
    assert text in (ROOT / "README.md").read_text()
    assert text not in str(metadata_of(built.wheel).get_payload())


def test_the_classifiers_name_the_pythons_that_are_tested(built: Any) -> None:
    """No more and no fewer; the build refuses those that an index does not know."""
    classifiers = metadata_of(built.wheel).get_all("Classifier", [])
    versions = re.findall(r"Python :: 3\.(\d+)$", "\n".join(classifiers), re.MULTILINE)
    tested = ConfigParser(interpolation=None)
    tested.read_string((ROOT / "tox.ini").read_text())
    assert versions == re.findall(r"py3(\d+)", tested["tox"]["env_list"])


def test_the_wheel_has_chirp_and_nothing_else(built: Any) -> None:
    """Every file of the package, the demo's pages and `py.typed` included."""
    packed = {name for name in names_in(built.wheel) if ".dist-info/" not in name}
    assert packed == files_of_chirp()
    assert {"chirp/py.typed", "chirp/demo/static/demo.css", "chirp/demo/templates/layout.html"} <= packed


def test_the_wheel_has_its_licence(built: Any) -> None:
    """The text, and not its name alone."""
    assert text_in(built.wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_the_wheel_brings_the_command(built: Any) -> None:
    """`chirp` is a command after installing."""
    assert "chirp = chirp.cli:main" in text_in(built.wheel, "entry_points.txt")


def test_without_extras_four_packages_are_asked_for(built: Any) -> None:
    """A signed cookie needs no Redis client, and a server needs no command line."""
    required = map(Requirement, metadata_of(built.wheel).get_all("Requires-Dist", []))
    assert {each.name for each in required if not each.marker} == {"anyio", "itsdangerous", "msgspec", "starlette"}


def test_the_sdist_has_what_a_build_needs(built: Any) -> None:
    """No tests, docs or benchmarks."""
    with tarfile.open(built.sdist) as archive:
        packed = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    beside = {name for name in packed if not name.startswith("chirp/")}
    assert beside == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert packed - beside == files_of_chirp()


def test_the_tree_and_the_sdist_make_the_same_wheel(built: Any) -> None:
    """Byte for byte, so two builds of one tree are the same as well."""
    assert built.wheel.read_bytes() == built.wheel_of_tree.read_bytes()
