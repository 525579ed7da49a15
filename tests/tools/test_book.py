"""The builder runs what changed, and only that."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tools import book


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two notebooks, one library file and one record."""
    for name in ("one", "two"):
        cells = [nbformat.v4.new_code_cell(f"print('{name}')")]
        path = tmp_path / "book" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    files = "src/lib.py data/runs/x/r.json data/benchmarks/b.json requirements.txt constraints.txt"
    for file in files.split():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("1")
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book, "EXECUTED", tmp_path / "_build" / "executed")
    return tmp_path


@pytest.fixture
def executed(project, monkeypatch):
    """The names of the notebooks that were executed, most recent call."""
    names = []

    def record(notebook, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        names.append(notebook.stem)

    def here(task, items, workers):
        return ((item, task(item)) for item in items)

    monkeypatch.setattr(book, "execute", record)
    monkeypatch.setattr(book, "in_processes", here)

    def update():
        names.clear()
        assert book.bring_up_to_date() == 0
        return list(names)

    return update


def edit(project, name, change):
    path = project / "book" / f"{name}.ipynb"
    node = nbformat.read(path, as_version=4)
    change(node.cells[0])
    nbformat.write(node, path)


def test_nothing_changed_nothing_runs(executed):
    assert executed() == ["one", "two"]
    assert executed() == []


def test_a_changed_cell_runs_its_notebook_only(project, executed):
    executed()
    edit(project, "two", lambda cell: cell.update(source="print(2)"))
    assert executed() == ["two"]


def test_changed_outputs_run_nothing(project, executed):
    executed()
    edit(project, "two", lambda cell: cell.update(execution_count=7))
    assert executed() == []


@pytest.mark.parametrize(
    "file", ["src/lib.py", "data/runs/x/r.json", "data/benchmarks/b.json", "requirements.txt"]
)
def test_a_changed_input_runs_everything(project, executed, file):
    executed()
    (project / file).write_text("2")
    assert executed() == ["one", "two"]


def test_a_failed_notebook_is_named_and_runs_again_and_the_others_are_kept(project, capsys):
    edit(project, "one", lambda cell: cell.update(source="raise ValueError('on purpose')"))
    for count in (2, 1):
        assert book.bring_up_to_date() == 1
        out = capsys.readouterr().out
        assert f"{count} of 2 notebooks to execute" in out
        assert "book/one.ipynb failed in cell 1: ValueError: on purpose" in out
    (cell,) = nbformat.read(project / "_build/executed/book/two.ipynb", as_version=4).cells
    assert cell.outputs[0].text == "two\n"


def test_a_kernel_that_dies_fails_its_own_notebook(project, capsys):
    edit(project, "one", lambda cell: cell.update(source="import os; os._exit(1)"))
    assert book.bring_up_to_date() == 1
    assert "book/one.ipynb failed with its kernel: Kernel died" in capsys.readouterr().out
    assert (project / "_build/executed/book/two.ipynb").exists()


def test_what_is_edited_while_it_runs_runs_again(project, executed, monkeypatch):
    def edited(notebook, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        edit(project, notebook.stem, lambda cell: cell.update(source="'as it ran'"))

    with monkeypatch.context() as patch:
        patch.setattr(book, "execute", edited)
        assert book.bring_up_to_date() == 0
    assert executed() == ["one", "two"]


# What `python -m tools.book build` does, on two cores and in a project of the test's own.
BUILD = """
import os, signal, sys
from pathlib import Path
from tools import book
if __name__ == "__main__":
    # A shell starts what runs in the background deaf to interrupts, and this would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    book.ROOT = Path(sys.argv.pop())
    book.EXECUTED = book.ROOT / "executed"
    os.cpu_count = lambda: 2
    sys.argv.append("build")
    sys.exit(book.main())
"""


def test_an_interrupt_keeps_what_is_finished_and_leaves_no_kernel(project):
    """It reaches all processes, as Ctrl-C in a terminal does."""
    begin = "import os, pathlib, time; pathlib.Path('{0}.pid').write_text(str(os.getpid()))"
    for name in ("two", "three", "four", "five"):  # more than begin, and enough to be forked
        cells = [nbformat.v4.new_code_cell(f"{begin.format(name)}; time.sleep(600)")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), project / "book" / f"{name}.ipynb")
        book.trust.record_time(project, Path(f"book/{name}.ipynb"), 1, 1)  # so "one" is first
    script = project / "build.py"
    script.write_text(BUILD)
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.Popen(
        [sys.executable, str(script), str(project)],
        env=os.environ | path, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip

    def begun():
        said = {file.stem: file.read_text() for file in (project / "book").glob("*.pid")}
        return {name: int(pid) for name, pid in said.items() if pid}

    def kept():
        return [stamp.stem for stamp in (project / "executed").rglob("*.sha256")]

    while kept() != ["one"] or len(begun()) < 2:
        assert run.poll() is None
        time.sleep(0.1)
    running = begun()
    os.killpg(run.pid, signal.SIGINT)
    assert "Interrupted" in run.communicate()[1]
    assert run.returncode == 130
    assert kept() == ["one"]
    assert begun() == running
    for pid in running.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_longest_begin_first_and_the_unknown_before_them(executed, project):
    for notebook, seconds in (("two", 5.0), ("one", 1.0)):
        book.trust.record_time(project, Path(f"book/{notebook}.ipynb"), seconds, seconds)
    new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("3")])
    nbformat.write(new, project / "book" / "three.ipynb")
    assert executed() == ["three", "two", "one"]


def test_each_notebook_has_its_own_processor_time(project):
    """Though they run at the same time."""
    busy = "import time\nwhile time.process_time() < 4: pass"
    edit(project, "one", lambda cell: cell.update(source=busy))
    assert book.bring_up_to_date() == 0
    times = book.trust.read_times(project / "_build" / "executed")
    idle = times["book/two.ipynb"]["cpu_s"]
    assert times["book/one.ipynb"]["cpu_s"] > 3.9
    assert idle < times["book/one.ipynb"]["cpu_s"] - 1


def test_execution_is_tidied(project):
    edit(project, "one", lambda cell: cell.update(
        source="import sys; print('to be kept'); print('progress', file=sys.stderr)"))  # fmt: skip
    target = project / "out" / "one.ipynb"
    book.execute(project / "book" / "one.ipynb", target)
    (cell,) = nbformat.read(target, as_version=4).cells
    assert [out.text for out in cell.outputs] == ["to be kept\n"]
    assert not cell.metadata
    assert [p.name for p in target.parent.iterdir()] == ["one.ipynb"]


def test_gather_takes_pages_from_the_project_and_notebooks_from_where_they_ran(
    project, monkeypatch
):
    for name in (*book.SETTINGS, "book/page.md"):
        (project / name).write_text(f"title: {name}")
    executed = project / "_build" / "executed"
    for name in ("one", "two"):
        (executed / "book").mkdir(parents=True, exist_ok=True)
        (executed / "book" / f"{name}.ipynb").write_text("executed")
    monkeypatch.setattr(book.trust, "write", lambda *folders: None)  # test_trust.py has it
    monkeypatch.setattr(book.neighbours, "write", lambda *folders: None)
    book.gather(executed, project / "pages")
    assert (project / "pages" / "book" / "one.ipynb").read_text() == "executed"
    assert (project / "pages" / "book" / "page.md").read_text() == "title: book/page.md"


def test_tidying_keeps_tags_and_folds_what_tells_an_answer():
    question, plain = (nbformat.v4.new_code_cell("1") for _ in "ab")
    question.metadata = {"tags": ["remove-input"], "papermill": {"duration": 1}}
    plain.metadata = {"papermill": {"duration": 1}}
    plain.outputs = [
        nbformat.v4.new_output("stream", name=name, text="1") for name in ("stdout", "stderr")
    ]
    node = nbformat.v4.new_notebook(cells=[question, plain])
    book.tidy(node)
    nbformat.validate(node)
    folded = {"jupyter": {"source_hidden": True}, "cellView": "form"}
    assert question.metadata == {"tags": ["remove-input"], **folded}
    assert plain.metadata == {}
    assert [out.name for out in plain.outputs] == ["stdout"]


def test_tidying_joins_what_was_printed_in_pieces():
    printed = [nbformat.v4.new_output("stream", text=text) for text in ("1\n", "2\n", "3\n")]
    shown = nbformat.v4.new_output("display_data", {"text/plain": "a picture"})
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("f()")])
    node.cells[0].outputs = [*printed[:2], shown, printed[2]]
    book.tidy(node)
    assert [out.get("text") for out in node.cells[0].outputs] == ["1\n2\n", None, "3\n"]


def test_a_page_is_dated_by_its_last_commit_and_not_by_the_build(project):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    (project / "CHANGELOG.md").write_text("one")
    for day, name in (("2020-01-02", "."), ("2021-03-04", "book/one.ipynb")):
        dates = {"GIT_AUTHOR_DATE": f"{day}T12:00:00Z", "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
        edit(project, "one", lambda cell, day=day: cell.update(source=day))
        for words in (["init", "-q"], ["add", name], ["commit", "-qm", "x"]):
            subprocess.run([*git, *words], cwd=project, check=True, env=os.environ | dates)
    dated = {"book/one": "2021-03-04", "book/two": "2020-01-02", "book/changes": "2020-01-02"}
    assert book.changed_on() == dated


def test_outside_git_no_page_has_a_date(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    assert book.changed_on() == {}


def test_the_committed_build_is_shared_until_something_changes(project, monkeypatch):
    for name in (*book.SETTINGS, "book/page.md"):
        (project / name).write_text(f"title: {name}")
    monkeypatch.setattr(book.trust, "write", lambda *folders: None)
    monkeypatch.setattr(book.neighbours, "write", lambda *folders: None)
    monkeypatch.setattr(book, "COMMITTED", project / "_build" / "committed")
    builds = []

    def build_html(pages, output):
        (output / "_build" / "html").mkdir(parents=True)
        builds.append(output)
        return 0

    monkeypatch.setattr(book, "build_html", build_html)
    assert book.committed() == book.committed() == project / "_build" / "committed/_build/html"
    assert len(builds) == 1
    (project / "book" / "page.md").write_text("changed")
    book.committed()
    assert len(builds) == 2
    monkeypatch.setattr(book, "build_html", lambda pages, output: 1)
    (project / "book" / "page.md").write_text("broken")
    assert book.committed() is None


def test_a_broken_page_fails_every_build_until_it_is_mended(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "_config.yml").write_text("title: a book\nexecute: {execute_notebooks: 'off'}\n")
    (pages / "_toc.yml").write_text("{format: jb-book, root: index}")
    (pages / "index.md").write_text("# Title\n\nSee {doc}`nowhere`.\n")
    assert [book.build_html(pages, tmp_path) != 0 for _ in range(2)] == [True, True]
    (pages / "index.md").write_text("# Title\n\nSee nothing.\n")
    assert [book.build_html(pages, tmp_path) for _ in range(2)] == [0, 0]
