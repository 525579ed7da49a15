"""Who uses whom, read from the imports of the library, the tools, the tests and the notebooks.

A name that comes from a face is followed to the file behind it, so that a change of that file
reaches those who use the name, and not all who use the face.
"""

import ast
import json
import re
from collections import deque
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOMES = {"localbook": ROOT / "src", "tools": ROOT, "tests": ROOT}
DOTTED = r"localbook(\.\w+)+"


def files() -> list[Path]:
    """Return every file whose imports are known."""
    found = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    found += [*(ROOT / "tests").rglob("*.py"), *(ROOT / "book").rglob("*.ipynb")]
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file, or of a notebook's code; magics are for the kernel."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        code = "\n".join("".join(cell["source"]) for cell in cells)
        text = re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE)
    return ast.parse(text)


def bound(tree: ast.Module, package: str = "") -> dict[str, str]:
    """Return what the imports of a file call by which name."""
    called: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            home = ".".join(filter(None, [package if node.level else "", node.module]))
            called |= {one.asname or one.name: f"{home}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            called |= {one.asname or one.name: one.name for one in node.names}
    return called


@cache
def face(package: str, init: Path) -> dict[str, str]:
    """Return what a package's face shows: its stub if it is lazy, or else its imports."""
    stub = init.with_suffix(".pyi")
    return bound(parse(stub if stub.exists() else init), package)


@cache
def resolve(name: str) -> Path | None:
    """Return the file that has a dotted name, or None if it is none of ours."""
    parts = name.split(".")
    if parts[0] not in HOMES:
        return None
    for count in range(len(parts), 0, -1):
        place = HOMES[parts[0]].joinpath(*parts[:count])
        if (file := place.with_suffix(".py")).is_file():
            return file
        if (file := place / "__init__.py").is_file():
            shown = face(".".join(parts[:count]), file)
            behind = shown.get(parts[count]) if count < len(parts) else None
            return resolve(behind) if behind and behind != name else file
    return None


@cache
def uses(path: Path) -> set[Path]:
    """Return the files whose names a file uses; a name in a string counts too."""
    tree = parse(path)
    called = bound(tree)
    names = set(called.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            names.add(f"{called.get(first, first)}.{rest}")
        elif isinstance(node, ast.Constant) and re.fullmatch(DOTTED, str(node.value)):
            names.add(str(node.value))
    return {file for name in names if (file := resolve(name)) and file != path}


def reached(changed: Iterable[Path]) -> dict[Path, int]:
    """Return the files that changed files can affect, each with how many imports lie between."""
    users: dict[Path, list[Path]] = {}
    for path in files():
        for used in uses(path):
            users.setdefault(used, []).append(path)
    steps = dict.fromkeys(changed, 0)
    waiting = deque(steps)
    while waiting:
        path = waiting.popleft()
        for user in users.get(path, ()):
            if user not in steps:
                steps[user] = steps[path] + 1
                waiting.append(user)
    return steps
