"""How long the book takes to be made, and the library to be imported.

Other processes do the work, so their time counts: the processor's for an import; for a build, which
keeps several of them busy, that on the wall.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from localbook.benchmarks.harness import Meter, Row, Target, counted, timed
from localbook.errors import ConfigError
from localbook.paths import checkout

_IMPORTED = ("localbook", "localbook.tropical")
_IMPORT_LIMIT = 300.0  # ms
_FIRST_LIMIT = 480.0  # seconds, from a warm environment
_AGAIN_LIMIT = 20.0


def measure(meter: Meter, root: Path | None = None) -> Iterator[Row]:
    """Yield the times of imports beside numpy's, and those of building the book twice.

    ``root`` is a git checkout, this package's own by default; its last commit is built, in a copy.
    """
    root = root or checkout()
    if root is None or not (root / ".git").exists():
        raise ConfigError("this benchmark builds the book: run it in a git checkout of localbook.")
    clock = Meter(_of_children, samples=meter.samples, most=meter.most, reference=meter.reference)
    times = clock.compare(
        {
            name: partial(_python, "-c", f"import {name}", folder=root)
            for name in ("numpy", *_IMPORTED)
        }
    )
    for name in _IMPORTED:
        yield timed(
            "import", name, times[name], "import numpy", times["numpy"],
            Target("value", _IMPORT_LIMIT),
        )  # fmt: skip
    yield from _builds(root)


def _of_children() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    import resource  # not on every system; os.times, which is, counts in steps of 10 ms

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _python(*words: str, folder: Path) -> int:
    """Run Python in a checkout, with its library, and return the exit code."""
    return subprocess.run(  # noqa: S603 -- this interpreter, no shell
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        stdout=subprocess.DEVNULL,
        check=False,
    ).returncode


def _builds(root: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "book"
        subprocess.run(  # noqa: S603 -- fixed words, no shell
            ["git", "clone", "--quiet", str(root), str(copy)],  # noqa: S607 -- the user's own git
            check=True,
        )
        first, again = _build(copy), _build(copy)
    cores, unit = f"{os.cpu_count()} cores", "seconds on the wall"
    yield counted(
        "book, all notebooks run", cores, unit, first, target=Target("value", _FIRST_LIMIT)
    )
    yield counted(
        "book, nothing changed", cores, unit, again, "all notebooks run", first,
        Target("value", _AGAIN_LIMIT),
    )  # fmt: skip


def _build(copy: Path) -> float:
    start = time.perf_counter()
    if _python("-m", "tools.book", "build", folder=copy):
        raise ConfigError("the book cannot be built: mend what `make book` reports.")
    return round(time.perf_counter() - start, 1)
