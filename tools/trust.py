"""The parts of the trust pages that are made when the book is built, each from its one source.

Verdicts come from the tables that the two chapters of claims have computed, results from the
records, times from the last execution. Nothing of it is written by hand.
"""

import html
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
from docutils.nodes import make_id

from localbook import benchmarks, runs
from localbook.runs import Record
from tools import targets

CLAIMS = ("local-learning", "tropical-geometry")
CONFIRMED = ("yes", "confirmed")
TIMES = Path("data") / "times.json"


def write(executed: Path, root: Path, folder: Path) -> None:
    """Write every part into a folder, where the pages include them.

    Parameters
    ----------
    executed : path
        Where the executed notebooks are, and their times.
    root : path
        The project, with its records.
    folder : path
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in CLAIMS:
        node = nbformat.read(executed / "book" / part / "claims.ipynb", as_version=4)
        page = f"{part}/claims.html"
        (folder / f"claims-{part}.md").write_text(claims(node, page))
        (folder / f"open-{part}.md").write_text(claims(node, page, confirmed=False))
    records = runs.load(folder=root / "data" / "runs")
    files = sorted((root / "data" / "benchmarks").glob("*.json"))
    measured = [benchmarks.read(file) for file in files]
    (folder / "targets.md").write_text(targets.picture(measured))
    (folder / "benchmarks.md").write_text(benchmark_tables(measured))
    peers = next(b for b in measured if b.name == "peers")
    (folder / "peers.md").write_text(f"{benchmarks.table(peers)}\n\n{benchmarks.caption(peers)}\n")
    (folder / "runs.md").write_text(run_table(records))
    times = {k: v for k, v in read_times(executed).items() if (root / k).is_file()}
    (folder / "times.md").write_text(time_table(times))


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def claims(node: Any, page: str, *, confirmed: bool = True) -> str:
    """Return one row for each verdict of a chapter of claims: claim, what was checked, verdict.

    Parameters
    ----------
    node : NotebookNode
        The executed chapter. Its section *The question* numbers the claims, each section
        *Claim n* decides one, and the cell below *The table* has printed the verdicts.
    page : str
        The chapter's address, for links to those sections.
    confirmed : bool
        Whether to keep what is confirmed without a condition.

    Raises
    ------
    ValueError
        If a claim has no verdict or no section.
    """
    header = ("the paper's claim, put shortly", "what was checked", "verdict", "shown in")
    rows: list[tuple[str, ...]] = []
    for claim, *others in decided(node, page):
        if confirmed or others[1] not in CONFIRMED:
            rows.append((claim, *others))
    said = [claim for claim, *_ in rows]
    return table(header, [("" if row[0] in said[:i] else row[0], *row[1:])
                          for i, row in enumerate(rows)])  # fmt: skip


def decided(node: Any, page: str) -> list[tuple[str, ...]]:
    """Return claim, what was checked, verdict and link for each row of a chapter's table."""
    texts = [cell.source for cell in node.cells if cell.cell_type == "markdown"]
    stated = _numbered(next(text for text in texts if text.startswith("## The question")))
    anchors = _sections(texts)
    rows: list[tuple[str, ...]] = []
    for what, verdict, _ in _verdicts(node):
        number, checked = what.split(". ", 1)
        if number not in stated or number not in anchors:
            raise ValueError(f"{page}: claim {number} is not stated, or has no section.")
        link = f'<a class="reference internal" href="{page}#{anchors[number]}">claim {number}</a>'
        rows.append((f"{number}. {stated[number]}", checked, verdict, link))
    if missing := sorted(stated.keys() - {row[0].split(".")[0] for row in rows}):
        raise ValueError(f"{page}: no verdict on claim {', '.join(missing)}.")
    return rows


def _numbered(text: str) -> dict[str, str]:
    """Return the items of a numbered list, by number, each on one line."""
    found = re.findall(r"^(\d+)\. (.*(?:\n +\S.*)*)", text, re.MULTILINE)
    return {n: re.sub(r"\s+", " ", item).rstrip(",.") for n, item in found}


def _sections(texts: list[str]) -> dict[str, str]:
    """Return the anchor of the section that decides each claim."""
    anchors = {}
    for title in re.findall(r"^## (Claims? .*)$", "\n".join(texts), re.MULTILINE):
        numbers = re.findall(r"\d+", title.split(":")[0])
        last = int(numbers[-1]) + 1
        for n in range(int(numbers[0]), last):
            anchors[str(n)] = make_id(title)
    return anchors


def _verdicts(node: Any) -> list[list[str]]:
    cells = iter(node.cells)
    next(c for c in cells if c.cell_type == "markdown" and c.source.startswith("## The table"))
    printed = next(c for c in cells if c.cell_type == "code").outputs[0].data["text/markdown"]
    lines = printed.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def benchmark_tables(found: list[benchmarks.Benchmark]) -> str:
    """Return how many targets each benchmark met; what falls short, and each in full, unfold."""
    header = ("benchmark", "targets", "met", "missed", "too noisy to tell")
    counts = []
    for b in found:
        verdicts = [v for row in b.rows if (v := row.verdict(b.noise))]
        words = [str(verdicts.count(w)) for w in ("met", "missed", "too noisy to tell")]
        counts.append((f"`{b.name}`", str(len(verdicts)), *words))
    parts = []
    for b in found:
        short = [row for row in b.rows if row.verdict(b.noise) not in ("met", "")]
        if short:
            parts.append(f"`{b.name}`\n\n{benchmarks.table(replace(b, rows=short))}\n")
    parts = [table(header, counts), folded("What falls short", "\n".join(parts))]
    for b in found:
        parts.append(folded(f"`{b.name}`", f"{benchmarks.table(b)}\n\n{benchmarks.caption(b)}"))
    return "\n".join(parts)


def folded(title: str, text: str) -> str:
    """Return a text that a reader unfolds."""
    return f"::::{{dropdown}} {title}\n{text}\n::::\n"


def run_table(records: list[Record]) -> str:
    """Return every experiment that is recorded, with its methods, its origin and its command."""
    parts = []
    for name, some in groupby(records, key=lambda r: (r.experiment, r.profile)):
        group = list(some)
        methods = ", ".join(f"`{r.method}`" for r in group)
        minutes = sum(r.wall_s for r in group) / 60
        note = html.escape(runs.caption(group), quote=False)
        note, command = note.split("Again: ", 1)
        parts.append(
            folded(
                f"{name[0]}, {name[1]}",
                f"{methods}; {minutes:.0f} minutes in all. {note}\n\n"
                f"```bash\n{command} --out my-runs\n```",
            )
        )
    return "\n".join(parts)


def read_times(executed: Path) -> dict[str, Any]:
    """Return the times of the last execution of each notebook, empty if there was none."""
    path = executed / TIMES
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def record_time(executed: Path, notebook: Path, cpu_s: float, wall_s: float) -> None:
    """Keep how long a notebook took, and where."""
    origin = runs.provenance()
    times = read_times(executed)
    times[str(notebook)] = {
        "cpu_s": round(cpu_s, 1),
        "wall_s": round(wall_s, 1),
        "machine": f"{origin['hardware']['cpu']}, {origin['hardware']['cores']} cores",
        "torch": origin["versions"]["torch"],
        "date": origin["date"],
    }
    (executed / TIMES).parent.mkdir(parents=True, exist_ok=True)
    lines = (f" {json.dumps(k)}: {json.dumps(times[k])}" for k in sorted(times))
    (executed / TIMES).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def time_table(times: dict[str, Any]) -> str:
    """Return how long each notebook took, the longest last, with the machine it ran on."""
    if not times:
        return "No notebook has been executed with its time taken yet; `make book` does it.\n"
    rows: list[tuple[str, ...]] = [
        (
            f"{{doc}}`{Path(name).relative_to('book').with_suffix('')}`",
            f"{row['cpu_s']:.0f}",
            f"{row['wall_s']:.0f}",
            row["date"][:10],
        )
        for name, row in sorted(times.items(), key=lambda item: item[1]["cpu_s"])
    ]
    sums = (sum(row[key] for row in times.values()) for key in ("cpu_s", "wall_s"))
    rows.append(("all", *(f"{total:.0f}" for total in sums), ""))
    where = sorted({f"{row['machine']}, torch {row['torch']}" for row in times.values()})
    header = ("chapter", "processor time (s)", "time on the wall (s)", "date")
    return f"{table(header, rows)}\n{'; '.join(where)}.\n"
