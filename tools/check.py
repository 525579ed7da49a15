"""Lint, types, and the tests and notebooks that a change can affect, the nearest first.

    python -m tools.check                what differs from the last commit
    python -m tools.check --since main   what differs from there

It stops after two minutes and names what it left to `make test`.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools import imports, trust

ROOT = imports.ROOT
PAGES = ("book/", "_config.yml", "_toc.yml", "CHANGELOG.md", "CITATION.cff")
LINT = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])
OPTIONS = (
    f"-q --no-loadscope-reorder --dist loadfile -n {os.cpu_count()} --nbval --nbval-current-env "
    "--nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 300"
)


def changed(since: str) -> list[Path]:
    """Return the files that differ from a commit, and those that git does not know yet."""
    commands = (["diff", "--name-only", since], ["ls-files", "--others", "--exclude-standard"])
    said = (subprocess.check_output(["git", *words], cwd=ROOT, text=True) for words in commands)
    return [ROOT / name for part in said for name in part.splitlines()]


def affected(files: Iterable[Path]) -> list[Path]:
    """Return the tests and notebooks that changed files can affect, the nearest first."""
    steps = imports.reached(files)
    if any(str(path.relative_to(ROOT)).startswith(PAGES) for path in steps if not steps[path]):
        steps |= dict.fromkeys((ROOT / "tests" / "book").glob("test_*.py"), 1)
    if any(ROOT / "src" in path.parents for path in steps if not steps[path]):
        steps[ROOT / "tests" / "test_examples.py"] = 1
    times = trust.read_times(ROOT)

    def order(path: Path) -> tuple[int, float, Path]:
        took = times.get(str(path.relative_to(ROOT)), {"wall_s": 0})
        return steps[path], took["wall_s"], path

    found = (path for path in steps if path.exists() and "browser" not in path.parts)
    tests = (p for p in found if p.match("test_*.py") or p.suffix == ".ipynb")
    return sorted(tests, key=order)


class Limit:
    """Stops pytest when the time is up, and knows what has begun and whether all is well."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.begun: set[Path] = set()
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at the clock after each test."""
        self.begun.add(ROOT / report.nodeid.split("::")[0])
        self.failed |= report.failed
        if time.monotonic() > self.end:
            pytest.exit("the time is up")  # xdist's loop asks no session whether it should stop


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--since", default="HEAD", help="a commit (default: the last one)")
    parser.add_argument("--seconds", type=float, default=95, help="when to stop (default: 95)")
    words = parser.parse_args()
    limit = Limit(words.seconds)
    for command in LINT:
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode:
            return 1
    tests = affected(changed(words.since))
    if not tests:
        print("No test or notebook uses what has changed.")
        return 0
    code = pytest.main([*OPTIONS.split(), *map(str, tests)], plugins=[limit])
    if left := [str(path.relative_to(ROOT)) for path in tests if path not in limit.begun]:
        print(f"Not begun, left to `make test`: {' '.join(left)}")
    return int(limit.failed or code not in (0, pytest.ExitCode.INTERRUPTED))


if __name__ == "__main__":
    sys.exit(main())
