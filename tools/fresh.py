"""Run notebooks where localbook is missing, so that their own first cell has to install it.

    python -m tools.fresh                     every notebook, one after the other
    python -m tools.fresh book/…/sgr.ipynb    these

Each runs alone in an empty folder and in an environment of its own that has everything the present
one has, localbook excepted: PyTorch alone would be 6 GB a notebook. The package is built once, as a
wheel; pip may ask no index, so what is there is kept.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel into a folder and return its path."""
    words = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", *words, str(ROOT)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def environment(folder: Path) -> Path:
    """Make an environment that lacks only localbook, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    words = "import sysconfig; print(sysconfig.get_path('purelib'))"
    python = folder / "bin" / "python"
    site = Path(subprocess.check_output([python, "-c", words], text=True).strip())
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "localbook" not in entry.name:  # the package, its metadata, an editable install's link
            (site / entry.name).symlink_to(entry)
    return python


def run(notebook: Path, wheel: Path) -> str:
    """Run one notebook by itself and return where it imported localbook from.

    Raises
    ------
    RuntimeError
        With the end of papermill's words, if a cell failed.
    """
    hidden = ("PYTHONPATH", "LOCALBOOK_SOURCE")
    env = {k: v for k, v in os.environ.items() if k not in hidden}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "alone"
        home.mkdir()
        shutil.copy(ROOT / notebook, home)
        python = environment(Path(folder) / "env")
        env |= {"LOCALBOOK_SOURCE": str(wheel), "PIP_NO_INDEX": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
        words = ["papermill", "--no-progress-bar", "-k", "python3", notebook.name, "out.ipynb"]
        done = subprocess.run(
            [python, "-m", *words], cwd=home, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{notebook} failed by itself:\n{done.stderr[-2000:]}")
        place = subprocess.check_output(
            [python, "-c", "import localbook; print(localbook.__file__)"], text=True, env=env
        )
        return str(Path(place.strip()).relative_to(folder))


def main() -> int:
    """Run the notebooks named, or all, and return how many failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    found = sorted(p.relative_to(ROOT) for p in (ROOT / "book").rglob("*.ipynb"))
    chosen = parser.parse_args().notebooks or [p for p in found if "checkpoints" not in str(p)]
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for notebook in chosen:
            start = time.perf_counter()
            try:
                run(notebook, wheel)
            except RuntimeError as error:
                failures += 1
                print(error, file=sys.stderr)
            else:
                print(f"{notebook}: {time.perf_counter() - start:.0f} s", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
