"""The walls of the house: what may import what, and what importing costs."""

import ast
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "localbook"
FILES = {
    ".".join(("localbook", *path.relative_to(SOURCE).with_suffix("").parts)): path
    for path in sorted(SOURCE.rglob("*.py"))
    if path.name != "__init__.py"
}
ROOMS = {".".join(("localbook", *p.parent.relative_to(SOURCE).parts)) for p in FILES.values()}
GROUND = "localbook"  # files directly in it are open to all
FLOORS = (  # of the whole house, from the ground up: nothing imports what stands higher
    ("data", "language", "runs"),
    ("local", "tropical"),
    ("depths", "plots", "experiments.harness"),
    ("neighbours",),
    ("experiments", "benchmarks"),
    ("cli", "__main__"),
)


def exported(face):
    """Return the names that a room's face binds."""
    path = SOURCE.joinpath(*face.split(".")[1:], "__init__.py")
    nodes = ast.walk(ast.parse(path.read_text())) if path.exists() else ()
    return {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imported(path):
    """Yield the modules of the library that a file imports anywhere in it.

    A room's face may bear a function of the name of the file it is in: that is the face.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("localbook"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                own = inner in ROOMS or (inner in FILES and alias.name not in exported(node.module))
                yield inner if own else node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("localbook"))


def room(module):
    return module if module in ROOMS else module.rpartition(".")[0]


ARROWS = [(name, target) for name, path in FILES.items() for target in imported(path)]


def floor(module):
    found = {
        name: number
        for number, names in enumerate(FLOORS)
        for name in names
        if f"{module}.".startswith(f"localbook.{name}.")
    }
    return found[max(found, key=len)] if found else -1


def test_no_import_goes_past_the_face_of_another_room():
    past = [
        f"{name} imports {target}"
        for name, target in ARROWS
        if target not in ROOMS
        and room(target) != GROUND
        and not f"{name}.".startswith(f"{room(target)}.")
    ]
    assert not past


@pytest.mark.parametrize("face", ["data", "local", "plots", "runs", "tropical"])
def test_tests_take_public_names_from_the_face(face):
    public = set(importlib.import_module(f"localbook.{face}").__all__)
    deep = [
        f"{path.name} takes {alias.name} from {node.module}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"localbook.{face}.")
        for alias in node.names
        if alias.name in public
    ]
    assert not deep


def test_nothing_imports_what_stands_higher():
    assert not [f"{name} imports {to}" for name, to in ARROWS if floor(to) > floor(name)]


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("local", ("localbook.tropical", "localbook.plots", "matplotlib")),
        ("tropical", ("localbook.local", "localbook.plots", "matplotlib")),
        ("data", ("localbook.runs", "matplotlib")),
        ("runs", ("localbook.data", "matplotlib")),
        ("plots", ("localbook.local", "localbook.tropical", "torch")),
    ],
)
def test_parts_do_not_reach_into_each_other(part, forbidden):
    for path in (SOURCE / part).rglob("*.py"):
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        ]
        assert not [name for name in names if name.startswith(forbidden)], path


def test_no_neighbour_knows_another_and_nothing_but_the_catalogue_knows_one():
    street = "localbook.neighbours"
    for name, target in ARROWS:
        if target.startswith(f"{street}."):
            assert name == "localbook.experiments.catalogue", name


def order(pairs):
    graph = graphlib.TopologicalSorter()
    for one, other in pairs:
        if one != other:
            graph.add(one, other)
    graph.prepare()  # raises CycleError


def test_files_stand_in_no_circle():
    order(ARROWS)


def test_rooms_stand_in_no_circle():
    """A room within a room counts as part of it, as do a part's own files beside its rooms."""
    part = {name: ".".join(room(name).split(".")[:3]) for name in FILES}
    order(
        (part[name], part.get(target, ".".join(target.split(".")[:3])))
        for name, target in ARROWS
        if room(name).count(".") > 1 and room(target).count(".") > 1
    )


@pytest.mark.parametrize(
    "name", ["localbook", *(f"localbook.{part}" for part in ("runs", "data", "tropical", "cli"))]
)
def test_importing_does_not_import_torch(name):
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_are_of_one_idea_and_rooms_of_at_most_sixteen_files():
    assert not [path for path in FILES.values() if len(path.read_text().splitlines()) > 360]
    rooms = [room(name) for name in FILES if room(name) != "localbook.neighbours"]
    assert not [name for name in ROOMS if rooms.count(name) > 16]
