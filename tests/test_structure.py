"""The rules of the library's structure: what may import what, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "localbook"


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("local", ("localbook.tropical", "localbook.plots", "localbook.experiments", "matplotlib")),
        ("tropical", ("localbook.local", "localbook.plots", "localbook.experiments", "matplotlib")),
        ("data", ("localbook.local", "localbook.tropical", "localbook.plots", "matplotlib")),
        ("runs", ("localbook.local", "localbook.tropical", "localbook.plots", "matplotlib")),
        ("plots", ("localbook.local", "localbook.tropical", "localbook.experiments", "torch")),
    ],
)
def test_parts_do_not_reach_into_each_other(part, forbidden):
    for path in (SOURCE / part).rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(forbidden), f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("name", ["localbook", "localbook.runs", "localbook.data", "localbook.cli"])
def test_importing_does_not_import_torch(name):
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_library_files_stay_small():
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
