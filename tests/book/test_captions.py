"""Under each recorded figure: data, hardware, seeds, commit, and the command to make it again."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(
    p for p in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts
)
FIGURES = {"show", "slider"}
RECORDED = {("runs", "load"), ("benchmarks", "load")}


def called(node):
    """The call's ``module.function`` as a pair, or the bare function's name."""
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.value.id, function.attr
    return ("", function.id) if isinstance(function, ast.Name) else ("", "")


def names(node):
    """The names that an expression reads, or that a target binds or changes."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def recorded(node, known):
    """Whether an expression reads records, or anything that was made of them."""
    calls = (called(n) for n in ast.walk(node) if isinstance(n, ast.Call))
    return bool(names(node) & known) or any(call in RECORDED for call in calls)


def uncaptioned(source, known):
    """Return the figures of a cell that draw records without a caption; update what is known."""
    found = []
    for statement in ast.parse(source).body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    bound = names(target)
                    if recorded(node.value, known):
                        known |= bound
                    elif isinstance(target, ast.Name):
                        known -= bound
            elif isinstance(node, ast.For | ast.comprehension):
                if recorded(node.iter, known):
                    known |= names(node.target)
            elif isinstance(node, ast.AugAssign) and recorded(node.value, known):
                known |= names(node.target)
            elif isinstance(node, ast.FunctionDef) and recorded(node, known - arguments(node)):
                known.add(node.name)
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and called(node)[1] in FIGURES:
                notes = [k.value for k in node.keywords if k.arg == "note"]
                drawn = any(recorded(value, known) for value in node.args)
                if drawn and not any("caption" in ast.dump(note) for note in notes):
                    found.append(ast.unparse(node)[:60])
    return found


def arguments(function):
    return {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}


def code_cells(path):
    cells = nbformat.read(path, as_version=4).cells
    return [c for c in cells if c.cell_type == "code" and c.get("id") != "install"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT / "book")))
def cells(request):
    return code_cells(request.param)


def test_every_figure_drawn_from_records_says_where_they_come_from(cells):
    known = set()
    missing = [figure for cell in cells for figure in uncaptioned(cell.source, known)]
    assert not missing


def test_every_record_that_is_read_is_captioned_somewhere_in_the_chapter(cells):
    source = "\n".join(cell.source for cell in cells)
    printed = str([cell.outputs for cell in cells])
    experiments = {p.name for p in (ROOT / "data" / "runs").iterdir()}
    benchmarks = {p.stem for p in (ROOT / "data" / "benchmarks").glob("*.json")}
    read = loaded("runs", experiments, source) | loaded("benchmarks", benchmarks, source)
    missing = {n for n in read if not re.search(rf"localbook (run|bench) {n}\b", printed)}
    assert not missing


def loaded(module, known, source):
    """Return the records that a source loads; where it loads by a variable, all that it names."""
    read = set(re.findall(rf'\b{module}\.load\(\s*"([\w-]+)"', source))
    if re.search(rf'\b{module}\.load\(\s*[^"\s)]', source):
        strings = {n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant)}
        live = set(re.findall(r'experiments\.run\(\s*"([\w-]+)"', source))
        read |= (strings & known) - live
    return read


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ('runs.load("a", profile="cpu")', {"a"}),
        ('for name in ("a", "b"):\n    runs.load(name)', {"a", "b"}),
        ('data.load("digits", "a")\nruns.load("b")', {"b"}),  # "a" is a split here
        ('experiments.run("a")\nruns.load(name)', set()),
        ("runs.load(profile=p)", set()),
    ],
)
def test_records_are_found_by_name(source, read):
    assert loaded("runs", {"a", "b"}, source) == read


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("r = runs.load('x')\nplots.show(draw(r), note=runs.caption(r))", 0),
        ("r = runs.load('x')\nplots.show(draw(r), note='three seeds')", 1),
        ("r = runs.load('x')\nplots.show(draw(r))", 1),
        ("r = runs.load('x')\nv = {}\nfor q in r:\n    v['a'] = q\nplots.show(draw(v))", 1),
        ("r = benchmarks.load('x')\ndef f(k):\n    return r[k]\nplots.slider(f, [1])", 1),
        ("r = runs.load('x')\nr = train()\nplots.show(draw(r))", 0),
        ("def f(r):\n    return r\nr = runs.load('x')\nplots.show(draw(f(1)))", 0),
    ],
)
def test_the_rule_itself(source, count):
    assert len(uncaptioned(source, set())) == count
