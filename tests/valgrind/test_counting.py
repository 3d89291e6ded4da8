"""The counts under valgrind show added work, and nothing else moves them. `tox run -e instructions` runs this."""

import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
CHIRP = "chirp on Redis"
LOOPS = 1000

MORE_WORK = f"""

_read = AsgiChirp.read


async def _read_slower(self, task):
    for _ in range({LOOPS}):
        pass
    return await _read(self, task)


AsgiChirp.read = _read_slower
"""


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks.instructions.counting`, for one contender."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    module = import_module("benchmarks.instructions.counting")
    monkeypatch.setattr(module, "CONTENDERS", [CHIRP])
    return module


async def counts_of(counting: ModuleType, runs: int, keep: Path | None = None) -> dict[str, list[float]]:
    """Count as the working folder's benchmarks do, and return the instructions per request of each run."""
    settings = counting.Settings(tasks=20, times=5, blocks=1, runs=runs)
    blocks = await counting.count(settings, keep, lambda: None)
    return {action: [block.instructions for block in blocks if block.action == action] for action in ("read", "change")}


@pytest.mark.timeout(300)
async def test_added_work_is_counted_where_it_is(
    counting: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A thousand turns of a loop in `read` show there and not in `change`; the same code counts the same again."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    before = await counts_of(counting, runs=2, keep=tmp_path / "kept")
    with (tmp_path / "benchmarks" / "contenders" / "asgi_chirp.py").open("a") as contender:
        contender.write(MORE_WORK)
    after = await counts_of(counting, runs=1)
    assert all(abs(first - second) < 0.01 * first for first, second in before.values())
    assert 5 * LOOPS < after["read"][0] - before["read"][0] < 200 * LOOPS
    assert abs(after["change"][0] - before["change"][0]) < 0.01 * before["change"][0]
    kept = counting.total((tmp_path / "kept" / "chirp-on-Redis" / "read.callgrind").read_text())
    assert kept / 100 in before["read"]


@pytest.mark.timeout(300)
async def test_a_program_that_fails_is_told_with_its_last_words(
    counting: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A contender that breaks must not count as cheap."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "benchmarks" / "contenders" / "asgi_chirp.py").open("a") as contender:
        contender.write("\nraise ValueError('broken on purpose')\n")
    with pytest.raises(counting.CountingError, match="broken on purpose"):
        await counts_of(counting, runs=1)
