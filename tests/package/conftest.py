"""The wheel and the sdist of this tree, built once."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path  # built from the sdist
    wheel_of_tree: Path


def run_build(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "build", *arguments], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    release, tree = tmp_path_factory.mktemp("release"), tmp_path_factory.mktemp("tree")
    run_build("--outdir", release, ROOT)  # without --wheel, the wheel is made from the sdist
    run_build("--wheel", "--outdir", tree, ROOT)
    return Built(
        sdist=next(release.glob("*.tar.gz")),
        wheel=next(release.glob("*.whl")),
        wheel_of_tree=next(tree.glob("*.whl")),
    )
