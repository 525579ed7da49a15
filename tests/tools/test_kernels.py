"""Forked kernels: a process each, that begins with the libraries and leaves nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")

CELLS = {
    "first": [
        "import math, os, sys\nmath.pi = 3\nos.environ['LEFT'] = 'yes'",
        "print(os.getpid(), os.getcwd(), 'torch' in sys.modules, 'LEFT' in os.environ, math.pi)",
    ],
    "second": [
        "import math, os, sys",
        "print(os.getpid(), os.getcwd(), 'torch' in sys.modules, 'LEFT' in os.environ, math.pi)",
    ],
    "busy": ["import time\nwhile time.process_time() < 1.5: pass"],
    "wrong": ["1 / 0"],
    "dying": ["import os\nos._exit(3)"],
}
RUN = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tools import book

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    done = {
        path.stem: asdict(book.timed_forked((path, folder / "out" / path.name)))
        for path in sorted(folder.glob("*.ipynb"))
    }
    print(json.dumps(done))
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """How each notebook ran, and what the first two printed; one server for all."""
    folder = tmp_path_factory.mktemp("forked")
    for name, sources in CELLS.items():
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")
    script = folder / "run.py"
    script.write_text(RUN)
    command = [sys.executable, script, folder]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=_here(), check=True)
    out = {
        name: nbformat.read(folder / "out" / f"{name}.ipynb", 4).cells[-1].outputs[0].text.split()
        for name in ("first", "second")
    }
    return folder, json.loads(ran.stdout.splitlines()[-1]), out


def _here():
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


def test_every_notebook_begins_with_the_libraries_in_a_process_and_folder_of_its_own(executed):
    folder, _, out = executed
    assert out["first"][0] != out["second"][0]
    assert out["first"][1:] == [str(folder), "True", "True", "3"]


def test_what_one_changes_the_next_does_not_see(executed):
    _, _, out = executed
    assert out["second"][2:] == ["True", "False", "3.141592653589793"]


def test_a_kernel_says_what_it_used(executed):
    _, done, _ = executed
    assert done["busy"]["failure"] is None
    assert 1.4 < done["busy"]["cpu_s"] < 4
    assert done["second"]["cpu_s"] < done["busy"]["cpu_s"]


def test_errors_and_deaths_are_told(executed):
    _, done, _ = executed
    assert done["wrong"]["failure"].startswith("in cell 1: ZeroDivisionError")
    assert done["dying"]["failure"].startswith("with its kernel")
