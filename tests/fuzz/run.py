"""`python tests/fuzz/run.py`: run every target for a while, tell what was covered, and fail if one found something."""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TARGETS = ("cookie_header", "signed_cookie", "stored_bytes", "redis_url")
SLOWEST_INPUT_SECONDS = 10
MOST_MEMORY_MIB = 1024
END_SECONDS = 120  # that a target may take longer than it was given, on a busy machine
LAST_LINES = 40


def run(target: str, runs: int, seconds: int, kept: Path | None) -> bool:
    """Run one target; tell whether it did no harm."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (kept or Path(temporary)) / target
        folder.mkdir(parents=True, exist_ok=True)
        options = [
            f"-runs={runs}",
            f"-max_total_time={seconds}",
            f"-timeout={SLOWEST_INPUT_SECONDS}",
            f"-rss_limit_mb={MOST_MEMORY_MIB}",
            f"-artifact_prefix={folder.parent}/{target}-",
            "-print_final_stats=1",
        ]
        done = subprocess.run(
            [sys.executable, HERE / f"{target}.py", folder, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + END_SECONDS,
            check=False,
        )
        output = done.stdout.decode("utf-8", "replace")
        covered = re.findall(r"cov: (\d+) ft: (\d+)", output) or [("0", "0")]
        executed = re.search(r"stat::number_of_executed_units: +(\d+)", output)
        memory = re.search(r"stat::peak_rss_mb: +(\d+)", output)
        if done.returncode or not executed or not memory:
            print("\n".join(output.splitlines()[-LAST_LINES:]))
            for found in folder.parent.glob(f"{target}-*"):
                print(f"{target}: input {found.read_bytes()[:4096]!r}")
            return False
        print(
            f"{target}: {int(executed[1]):,} inputs, {covered[-1][0]} edges ({covered[0][0]} by the seeds), "
            f"{covered[-1][1]} features, {memory[1]} MiB, no harm"
        )
        return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=TARGETS, metavar="target", help=", ".join(TARGETS))
    parser.add_argument(
        "--runs", type=int, default=10_000, help="inputs for each target; -1: as many as there is time for"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target, at most")
    parser.add_argument("--keep", type=Path, help="a folder for the corpus, to go on with it another time")
    given = parser.parse_args()
    harmless = [run(target, given.runs, given.seconds, given.keep) for target in given.targets]
    return 0 if all(harmless) else 1


if __name__ == "__main__":
    sys.exit(main())
