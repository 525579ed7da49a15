"""Execute the book's notebooks with papermill, and build its HTML.

    python -m tools.book build      execute what changed, then build the HTML
    python -m tools.book refresh    execute every notebook in place, to commit its outputs
    python -m tools.book links      ask every address that the pages link to

Executed copies are kept in _build/executed; a notebook runs again when its own source, the
library, the run records or the pins have changed since its last good execution.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from tqdm import tqdm

from localbook.pool import in_processes
from tools import kernels, launch, neighbours, reference, trust

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
EXECUTED = BUILD / "executed"
PAGES = BUILD / "pages"
HTML = BUILD / "html"
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # in JupyterLab, and on Colab
COMMITTED = BUILD / "committed"
FORKED_FROM = 5  # notebooks: fewer are done before the libraries are read for all


# What the pages are made from, besides the folder `book`.
SETTINGS = ("_config.yml", "_toc.yml", "CHANGELOG.md", "CITATION.cff")


def notebooks() -> list[Path]:
    """Return the book's notebooks, relative to the root, sorted."""
    found = (ROOT / "book").rglob("*.ipynb")
    return sorted(p.relative_to(ROOT) for p in found if ".ipynb_checkpoints" not in p.parts)


def inputs_digest() -> str:
    """Return a hash of all that any notebook's result may depend on, its own source excepted."""
    digest = hashlib.sha256()
    for path in sorted(_inputs()):
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _inputs() -> Iterator[Path]:
    yield from (ROOT / "src").rglob("*.py")
    yield from (ROOT / "src").rglob("*.mplstyle")
    yield from (ROOT / "src").rglob("*.js")
    for records in ("runs", "benchmarks"):
        yield from (ROOT / "data" / records).rglob("*.json")
    yield from (ROOT / "requirements.txt", ROOT / "constraints.txt")


def source_digest(notebook: Path, inputs: str) -> str:
    """Return a hash of a notebook's cells, without outputs, and of what it depends on."""
    cells = nbformat.read(ROOT / notebook, as_version=4).cells
    text = "\0".join(f"{c.cell_type}\0{c.source}\0{c.metadata.get('tags')}" for c in cells)
    return hashlib.sha256(f"{inputs}\0{text}".encode()).hexdigest()


def execute(notebook: Path, target: Path) -> None:
    """Run a notebook top to bottom at its default profile and write the tidied result."""
    import papermill

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        running = Path(folder) / notebook.name
        papermill.execute_notebook(
            str(notebook),
            str(running),
            cwd=str(notebook.parent),
            kernel_name="python3",
            start_timeout=600,  # on a busy machine a kernel takes its time
            progress_bar=False,
            request_save_on_cell_execute=False,  # the whole is kept or nothing
        )
        node = nbformat.read(running, as_version=4)
    tidy(node)
    nbformat.write(node, target)


def tidy(node: Any) -> None:
    """Drop what differs from run to run: timings, progress bars, the pieces of what is printed."""
    node.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in node.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if "remove-input" in (tags or ()):  # a question, whose code tells the answer
            cell.metadata |= FOLDED
        if cell.cell_type == "code":
            cell.outputs = joined([out for out in cell.outputs if out.get("name") != "stderr"])


def joined(outputs: list[Any]) -> list[Any]:
    """Join what was printed: a busy machine sends it in several pieces."""
    whole: list[Any] = []
    for out in outputs:
        if out.output_type == "stream" and whole and whole[-1].output_type == "stream":
            whole[-1].text += out.text
        else:
            whole.append(out)
    return whole


def refresh() -> int:
    """Execute every notebook in place; return how many failed."""
    chosen = notebooks()
    return len(chosen) - len(list(_execute_all(chosen, ROOT)))


def bring_up_to_date() -> int:
    """Execute the notebooks whose last good execution is out of date; return how many failed."""
    inputs = inputs_digest()
    digests = {notebook: source_digest(notebook, inputs) for notebook in notebooks()}
    stale = [notebook for notebook, digest in digests.items() if _stamp_of(notebook) != digest]
    print(f"{len(stale)} of {len(digests)} notebooks to execute")
    failures = len(stale)
    for notebook in _execute_all(stale, EXECUTED):
        _stamp(notebook).write_text(digests[notebook])  # what changed since then will run again
        failures -= 1
    return failures


def _stamp(notebook: Path) -> Path:
    return (EXECUTED / notebook).with_suffix(".sha256")


def _stamp_of(notebook: Path) -> str | None:
    return _stamp(notebook).read_text() if _stamp(notebook).exists() else None


@dataclass(frozen=True)
class Executed:
    """How one notebook ran: seconds, and what went wrong."""

    cpu_s: float
    wall_s: float
    failure: str | None


def _execute_all(chosen: list[Path], home: Path) -> Iterator[Path]:
    """Execute notebooks into a folder, one a core, and yield each that ran to its end."""
    work = [(ROOT / notebook, home / notebook) for notebook in _longest_first(chosen)]
    how = timed_forked if len(work) >= FORKED_FROM and sys.platform == "linux" else _timed
    with tqdm(total=len(work), unit="notebook", disable=not work) as bar:
        for (source, _), done in in_processes(how, work, os.cpu_count() or 1):
            notebook = source.relative_to(ROOT)
            bar.update()
            if done.failure:
                bar.write(f"{notebook} failed {done.failure}")
                continue
            trust.record_time(home, notebook, done.cpu_s, done.wall_s)
            yield notebook
            bar.write(f"{notebook}: {done.wall_s:.0f} s")  # now that the caller has kept it


def _longest_first(chosen: list[Path]) -> list[Path]:
    """Sort by the time they took last, so that no core waits long for the last one."""
    times = trust.read_times(ROOT)
    unknown = {"wall_s": float("inf")}
    return sorted(chosen, key=lambda n: times.get(str(n), unknown)["wall_s"], reverse=True)


def _processor_time() -> float:
    """Return the processor seconds of all kernels that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _timed(
    work: tuple[Path, Path], processor_time: Callable[[], float] = _processor_time
) -> Executed:
    """Execute one notebook; its kernel's processor time is what the clock goes on by."""
    from papermill.exceptions import PapermillExecutionError

    start, used, failure = time.perf_counter(), processor_time(), None
    try:
        execute(*work)
    except PapermillExecutionError as error:
        failure = f"in cell {error.exec_count}: {error.ename}: {error.evalue}"
    except RuntimeError as error:  # nbclient's, if the kernel died or never answered
        failure = f"with its kernel: {error}"
    return Executed(processor_time() - used, time.perf_counter() - start, failure)


def timed_forked(work: tuple[Path, Path]) -> Executed:
    """Execute one notebook in a forked kernel, which says itself what it used."""
    kernels.fork_from_here_on()
    return _timed(work, kernels.processor_time)


def gather(executed: Path, pages: Path) -> None:
    """Put the configuration, the pages and the executed notebooks where Sphinx reads them."""
    shutil.rmtree(pages, ignore_errors=True)
    ignore = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "book", pages / "book", ignore=ignore)
    for name in SETTINGS:
        shutil.copy(ROOT / name, pages / name)
    for notebook in notebooks():
        (pages / notebook).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(executed / notebook, pages / notebook)
        launch.pin(pages / notebook, pages / "_config.yml")
    trust.write(executed, ROOT, pages / "book" / "_generated")
    neighbours.write(executed, ROOT, pages / "book" / "_generated")
    reference.write(ROOT / "book" / "reference", pages / "book" / "_generated")
    (pages / "dates.json").write_text(json.dumps(changed_on(), indent=1))


def changed_on() -> dict[str, str]:
    """Return the date of each page's last commit, by its name; empty outside a git checkout."""
    command = ["git", "log", "--format=:%cs", "--name-only", "--relative", "--", "book", *SETTINGS]
    log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    dates: dict[str, str] = {}
    date = ""
    for line in filter(None, log.splitlines()):
        if line.startswith(":"):
            date = line[1:]
        else:  # newest first, so the first date of a file is its last change
            dates.setdefault(line.rsplit(".", 1)[0], date)
    if "CHANGELOG" in dates:
        dates["book/changes"] = dates["CHANGELOG"]
    return {name: date for name, date in dates.items() if name.startswith("book/")}


def build_html(pages: Path, output: Path, *more: str) -> int:
    """Build the HTML with every warning an error; return jupyter-book's exit code.

    Sphinx reads and warns of a page only when that has changed: what it keeps from a build that
    failed, or was interrupted, is forgotten, or the same fault would pass the next time.
    """
    kept = output / "_build" / ".doctrees"
    good = kept / "good"
    if not good.exists():
        shutil.rmtree(kept, ignore_errors=True)
    good.unlink(missing_ok=True)
    words = ["build", str(pages), "--path-output", str(output), "-W", "-n", "--keep-going", "-q"]
    command = [sys.executable, str(Path(__file__).with_name("pages.py")), *words, *more]
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        good.touch()
    return code


def committed() -> Path | None:
    """Build the pages from the notebooks' committed outputs, executing nothing.

    The tests of the pages share this build; it is made again when anything it is made from, or
    what it is made with, has changed. Returns its folder, or None if jupyter-book failed.
    """
    gather(ROOT, COMMITTED / "pages")
    digest = hashlib.sha256()
    for path in [*sorted((COMMITTED / "pages").rglob("*")), *sorted(_inputs())]:
        if path.is_file():
            digest.update(f"{path}\0".encode() + path.read_bytes())
    stamp = COMMITTED / "stamp.sha256"
    html = COMMITTED / "_build" / "html"
    if not html.exists() or not stamp.exists() or stamp.read_text() != digest.hexdigest():
        stamp.unlink(missing_ok=True)
        shutil.rmtree(COMMITTED / "_build", ignore_errors=True)  # a page that is gone must go
        if build_html(COMMITTED / "pages", COMMITTED):
            return None
        stamp.write_text(digest.hexdigest())
    return html


def build() -> int:
    """Execute what is out of date and build the book; return an exit code."""
    if bring_up_to_date():
        print("The book was not built: mend the notebooks above first.", file=sys.stderr)
        return 1
    gather(EXECUTED, PAGES)
    code = build_html(PAGES, BUILD.parent)
    if code == 0:
        print(f"The book is at {(HTML / 'index.html').as_uri()}")
    return code


def links() -> int:
    """Ask every address that the committed pages link to; return jupyter-book's exit code."""
    pages = COMMITTED / "links"
    gather(ROOT, pages)
    return build_html(pages, pages, "--builder", "linkcheck")


def main() -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    does = {"build": build, "refresh": refresh, "links": links}
    parser.add_argument("what", choices=tuple(does))
    what = parser.parse_args().what
    try:
        return min(does[what](), 1)
    except KeyboardInterrupt:
        print("Interrupted: the notebooks named above are kept, the others not.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
