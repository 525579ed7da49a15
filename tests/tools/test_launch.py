"""The cell that installs the package says what the one setting says."""

import subprocess
from pathlib import Path

import nbformat
import pytest

from tools import fresh, launch

URL = "https://github.com/someone/localbook"


@pytest.fixture
def config(tmp_path):
    """Write a configuration and return its path."""

    def write(text):
        path = tmp_path / "_config.yml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: x", ("", "main")),
        ('repository:\n  url: ""', ("", "main")),
        (f"repository:\n  url: {URL}/\n  branch: next", (URL, "next")),
    ],
)
def test_the_address_is_read(config, text, expected):
    assert launch.repository(config(text)) == expected


def run_cell(source, monkeypatch, *, installed=False):
    """Run the cell as IPython would and return what it asked pip for."""
    asked = []
    plain = source.replace("%pip install --quiet ", "pip(f").replace('package}"', 'package}")')
    found = object() if installed else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    exec(plain, {"pip": asked.append})
    return asked


def test_nothing_is_installed_where_the_package_is(monkeypatch):
    assert run_cell(launch.install_cell(URL, "main"), monkeypatch, installed=True) == []


def test_it_comes_from_the_repository_and_never_from_an_index(monkeypatch):
    monkeypatch.delenv("LOCALBOOK_SOURCE", raising=False)
    asked = run_cell(launch.install_cell(URL, "abc"), monkeypatch)
    assert asked == [f"localbook[book] @ git+{URL}@abc"]


def test_a_wheel_or_checkout_comes_first(monkeypatch):
    monkeypatch.setenv("LOCALBOOK_SOURCE", "some/folder")
    for url in (URL, ""):
        assert run_cell(launch.install_cell(url, "main"), monkeypatch) == ["some/folder[book]"]


def test_without_an_address_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv("LOCALBOOK_SOURCE", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"localbook is missing: .*pip install"):
        run_cell(launch.install_cell("", "main"), monkeypatch)


def test_the_cell_is_written_once_and_kept_up_to_date():
    cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("1")]
    node = nbformat.v4.new_notebook(cells=cells)
    assert launch.set_install_cell(node, "", "main")
    assert not launch.set_install_cell(node, "", "main")
    assert launch.set_install_cell(node, URL, "main")
    assert [cell.get("id") == "install" for cell in node.cells] == [False, True, False]
    assert [cell.execution_count for cell in node.cells[1:]] == [1, 2]
    assert URL in node.cells[1].source


def test_a_notebook_for_download_installs_the_commit_it_comes_from(config, tmp_path):
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    path = tmp_path / "one.ipynb"
    nbformat.write(node, path)
    launch.pin(path, config("title: x"))
    assert len(nbformat.read(path, as_version=4).cells) == 1
    launch.pin(path, config(f"repository:\n  url: {URL}"))
    version = launch.commit() or "main"
    assert f'"{URL}", "{version}"' in nbformat.read(path, as_version=4).cells[0].source


# Two short chapters: one of plain geometry, one that reads records and benchmarks.
@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return fresh.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.parametrize("name", ["networks-as-quotients", "claims"])
def test_a_notebook_runs_by_itself_where_the_package_is_missing(wheel, name):
    place = fresh.run(Path("book/tropical-geometry") / f"{name}.ipynb", wheel)
    assert place.startswith("env/")


def test_the_environment_lacks_only_the_package(tmp_path):
    python = fresh.environment(tmp_path / "env")
    words = "import numpy, torch, importlib.util as u; print(u.find_spec('localbook'))"
    found = subprocess.check_output([python, "-I", "-c", words], text=True)
    assert found.strip() == "None"
