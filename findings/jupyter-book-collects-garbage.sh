#!/usr/bin/env bash
# jupyter-book 1.0.4.post1 with sphinx 7.4.7 and myst-nb 1.4.0, on CPython 3.11
#
# Behaviour: while a book of executed notebooks is built, Python's cyclic garbage collector takes two fifths of the
# processor time. It has something to find, for a page is a tree whose nodes point back at their parents, and nothing
# else frees that; but what it frees is not needed. After gc.disable() the command makes the same pages.
# Seen: 40 pages of 40 cells, 32.1 s of processor time, of which the collector 12.8 s, 40 % (39 % in another run), for
# five million objects found; without it 18.3 s, and every page of the same length.
# On a real book of 71 pages, 50 of them notebooks: 85 s became 56 s, and a peak of 2.9 GB.
#
# Guessed: a few percent. Sphinx reads and writes text, most of its objects are freed by their reference counts, and
# collections become rarer as objects grow old.
#
# Why it surprises: no profiler shows it. cProfile lays the time to whatever function allocates when a collection
# happens to start, so `pickle.loads` and `docutils` look slow, and one goes looking for a slow extension.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet jupyter-book==1.0.4.post1 sphinx==7.4.7 myst-nb==1.4.0
fi
cd "$place"
"$python" -W ignore - <<'END'
import gc
import sys
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
from jupyter_book.cli.main import main

assert version("jupyter-book") == "1.0.4.post1", version("jupyter-book")
PAGES, CELLS = 40, 40


def page(number):
    """Return a notebook as it looks after execution: text, code, printed numbers."""
    cells = [nbformat.v4.new_markdown_cell(f"# Page {number}")]
    for cell in range(CELLS):
        words = f"## Part {cell}\n\nSome *text* with $x_{{{cell}}}^2$, a [link](page0.ipynb) and `code`.\n\n"
        table = "| a | b |\n|---|---|\n" + "".join(f"| {row} | {row * cell} |\n" for row in range(8))
        cells.append(nbformat.v4.new_markdown_cell(words + table))
        code = nbformat.v4.new_code_cell(f"for i in range({cell}):\n    print(i, i ** {cell})")
        text = "".join(f"{i} {i ** cell}\n" for i in range(min(cell, 9)))
        code.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text or "none\n")]
        cells.append(code)
    return nbformat.v4.new_notebook(cells=cells)


book = Path("book")
book.mkdir()
for number in range(PAGES):
    nbformat.write(page(number), book / f"page{number}.ipynb")
names = [f"page{number}" for number in range(PAGES)]
(book / "_config.yml").write_text("title: A book\nexecute:\n  execute_notebooks: 'off'\n")
chapters = "".join(f"- file: {name}\n" for name in names[1:])
(book / "_toc.yml").write_text(f"format: jb-book\nroot: {names[0]}\nchapters:\n{chapters}")

spent, begun, found = [0.0], [0.0], [0]


def watch(phase, info):
    """Add up the processor time between the start and the stop of every collection."""
    if phase == "start":
        begun[0] = time.process_time()
    else:
        spent[0] += time.process_time() - begun[0]
        found[0] += info["collected"]


def built(folder):
    """Return the processor seconds of a build."""
    start = time.process_time()
    try:
        main(["build", "book", "--path-output", folder, "-q", "-q"], standalone_mode=True)
    except SystemExit as end:
        assert not end.code, end.code
    return time.process_time() - start


built("warm")  # imports, fonts, the theme
gc.callbacks.append(watch)
usual = built("usual")
gc.callbacks.remove(watch)
share = spent[0] / usual
gc.disable()
without = built("without")
same = all(
    (Path(f"usual/_build/html/{name}.html").stat().st_size)
    == (Path(f"without/_build/html/{name}.html").stat().st_size)
    for name in names
)
print(f"build {usual:.1f} s of processor time, of which the collector {spent[0]:.1f} s, {share:.0%}; it found {found[0]:,}")
print(f"without it {without:.1f} s; pages of the same length: {same}")
sys.exit(not (share > 0.15 and without < 0.92 * usual and same))
END
