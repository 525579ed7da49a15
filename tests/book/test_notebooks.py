"""The rules every notebook of the book keeps."""

import html
import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from localbook import teaching
from localbook.errors import ConfigError
from tests.book.conftest import NOTEBOOKS
from tools import launch

ROOT = Path(__file__).parents[2]
MAX_LINES = 25
MAX_OUTPUT = 100_000
MAX_SLIDER = 200_000  # several pictures, of which gzip leaves a sixth


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(output):
    """Every piece of text an output has, by its type."""
    if output.output_type == "stream":
        yield output.name, output.text
    for kind, value in output.get("data", {}).items():
        yield kind, value if isinstance(value, str) else json.dumps(value)


def test_there_are_notebooks_and_all_are_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    for path in NOTEBOOKS:
        assert str(path.relative_to(ROOT).with_suffix("")) in listed
    assert NOTEBOOKS


def test_valid(notebook):
    nbformat.validate(notebook)


def test_no_times_of_execution(notebook):
    """They would change with every execution, and tell nothing that `data/times.json` does not."""
    assert not [cell.id for cell in notebook.cells if "execution" in cell.metadata]


def test_title_first(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    titles = [c for c in notebook.cells if c.cell_type == "markdown" and c.source.startswith("# ")]
    assert len(titles) == 1


def test_the_first_code_cell_installs_what_the_configuration_says(notebook):
    first = code_cells(notebook)[0]
    assert first.id == "install"
    assert first.metadata.tags == launch.TAGS
    assert first.source == launch.install_cell(*launch.repository()), "python -m tools.launch"
    assert not first.outputs


def test_the_second_code_cell_sets_the_profile(notebook):
    second = code_cells(notebook)[1]
    assert "parameters" in second.metadata.get("tags", [])
    assert second.source.startswith('profile = "quick"')


def test_a_wrong_profile_fails_before_anything_is_computed(notebook):
    wanted = re.compile(r'^teaching\.profile\(profile, ("\w+"(?:, "\w+")*)\)$', re.MULTILINE)
    third = code_cells(notebook)[2]
    (known,) = wanted.findall(third.source)
    comment = code_cells(notebook)[1].source.partition("#")[2]
    assert known.split(", ") == ['"quick"', *re.findall(r'"(?!quick)\w+"(?=:)', comment)]
    with pytest.raises(ConfigError, match="profile='huge' must be"):
        exec(wanted.search(third.source)[0], {"teaching": teaching, "profile": "huge"})


def test_cells_are_short(notebook):
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source


def test_outputs_are_small_and_clean(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            for _, text in texts(output):
                slider = '<figure class="lb-figure lb-slider"' in text
                assert len(text) <= (MAX_SLIDER if slider else MAX_OUTPUT), cell.source
                assert "Traceback" not in text
                assert not re.search(r"\b\w*Warning\b", text)


def test_ran_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_every_picture_has_alt_text_and_it_is_the_sources(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            kinds = dict(texts(output))
            assert not any(kind.startswith("image/") for kind in kinds), "use plots.show"
            page = kinds.get("text/html", "")
            assert "<img" not in page
            labels = re.findall(r'<svg [^>]*?aria-label="([^"]*)"', page)
            assert len(labels) == page.count("<svg ")
            for label in map(html.unescape, labels):
                plain = kinds["text/plain"].splitlines()
                assert f"Figure: {label}" in plain
                if len(plain) > 2:  # a slider whose frames have alt texts of their own
                    continue
                in_source = re.sub(r'"\s*\n\s*"', "", cell.source)
                assert label in in_source, f"alt text is not the source's: {label}"


def test_no_machines_paths(notebook):
    pieces = [cell.source for cell in notebook.cells]
    pieces += [text for c in code_cells(notebook) for out in c.outputs for _, text in texts(out)]
    for piece in pieces:
        assert not re.search(r"(?<![\w.:/<])/(home|root|tmp|usr|work|Users|content|opt)/", piece)
        assert not re.search(r"\b[A-Z]:\\\\", piece)


def test_exercises_have_solutions(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    exercises = re.findall(r"\{exercise-start\}\n:label: (\S+)", text)
    solutions = re.findall(r"\{solution-start\} (\S+)", text)
    assert len(exercises) >= 3
    assert exercises == solutions
