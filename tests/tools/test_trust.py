"""The trust pages say what their sources say, and stop the build where those are silent."""

import json
import re

import nbformat
import pytest

from localbook import benchmarks, runs
from tools import book, targets, trust

QUESTION = """## The question

They claim:

1. That *one* holds,
   always.
2. and two,
3. and three.

The rest is silence."""


def chapter(verdicts, sections=("Claim 1: one", "Claims 2 and 3: more")):
    rows = [f"| {what} | {word} | somewhere |" for what, word in verdicts]
    markdown = "\n".join(["| claim | verdict | evidence |", "|---|---|---|", *rows])
    output = nbformat.v4.new_output("display_data", data={"text/markdown": markdown})
    texts = [QUESTION, *(f"## {title}\n\nText." for title in sections), "## The table"]
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    code = nbformat.v4.new_code_cell("Markdown(table)", outputs=[output])
    return nbformat.v4.new_notebook(cells=[*cells, code])


VERDICTS = [
    ("1. one", "confirmed"),
    ("2. two, a", "yes"),
    ("2. two, b", "**no**"),
    ("3. x", "once"),
]


def test_every_verdict_stands_beside_its_claim_and_links_to_its_section():
    lines = trust.claims(chapter(VERDICTS), "part/claims.html").splitlines()[2:]
    assert len(lines) == 4
    assert lines[0].startswith("| 1. That *one* holds, always | one | confirmed |")
    assert 'href="part/claims.html#claim-1-one"' in lines[0]
    assert lines[1].startswith("| 2. and two | two, a | yes |")
    assert lines[2].startswith("|  | two, b | **no** |")
    assert 'href="part/claims.html#claims-2-and-3-more"' in lines[3]


def test_what_is_confirmed_can_be_left_out():
    lines = trust.claims(chapter(VERDICTS), "p", confirmed=False).splitlines()[2:]
    assert [line.split(" | ")[2] for line in lines] == ["**no**", "once"]
    assert lines[0].startswith("| 2. and two | two, b")


@pytest.mark.parametrize(
    ("verdicts", "sections", "message"),
    [
        (VERDICTS[:3], ("Claim 1: one", "Claims 2 to 3: more"), "no verdict on claim 3"),
        (VERDICTS, ("Claim 1: one", "Claim 2: two"), "claim 3 is not stated, or has no section"),
        ([*VERDICTS, ("4. y", "yes")], ("Claims 1 to 4: all",), "claim 4 is not stated"),
    ],
)
def test_a_claim_without_verdict_or_section_stops_the_build(verdicts, sections, message):
    with pytest.raises(ValueError, match=message):
        trust.claims(chapter(verdicts, sections), "p")


@pytest.mark.parametrize("part", trust.CLAIMS)
def test_the_chapters_of_claims_can_be_read(part):
    node = nbformat.read(book.ROOT / "book" / part / "claims.ipynb", as_version=4)
    table = trust.claims(node, "p")
    shown = [output.get("data", {}) for cell in node.cells for output in cell.get("outputs", ())]
    rows = "\n".join(data.get("text/markdown", "") for data in shown).splitlines()
    verdicts = [row.split(" | ")[1].strip() for row in rows if re.match(r"\| \d+\. ", row)]
    assert table.count("\n") == len(verdicts) + 2
    assert all(f"| {verdict} |" in table for verdict in verdicts)


def test_benchmarks_are_counted_and_shown_in_full():
    target = benchmarks.Target("value", 2.0)
    rows = [
        benchmarks.Row("fast", "1", "MiB", v, v, v, 1, target=target if v else None)
        for v in (1.0, 3.0, 0.0)
    ]
    found = benchmarks.Benchmark(
        "some", 0.0, rows, {"cpu": "a processor"}, {"numpy": "2"}, "abc", False,
        "2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    text = trust.benchmark_tables([found])
    assert "| `some` | 2 | 1 | 1 | 0 |" in text
    short, full = text.split("{dropdown} What falls short")[1].split("{dropdown} `some`")
    assert short.count("missed") == 1
    assert "met" not in short
    assert "missed" in full
    assert "Again: localbook bench some" in text
    drawn = targets.picture([found])
    assert "All 2 targets, a row for each of 1 benchmarks" in drawn
    assert "1 met, 1 missed, 0 too noisy to tell" in drawn
    assert [targets.margin(row) for row in rows[:2]] == [2.0, pytest.approx(2 / 3)]
    assert [drawn.count(f'class="lb-{word}"') for word in ("met", "missed", "tell")] == [2, 2, 1]


def test_every_recorded_experiment_is_listed_with_its_command():
    records = runs.load(folder=book.ROOT / "data" / "runs")
    text = trust.run_table(records)
    for record in records:
        words = f"localbook run {record.experiment} --profile {record.profile.partition('+')[0]}"
        assert (f"{words} --data " if "data" in record.config["setting"] else words) in text
        assert f"`{record.method}`" in text
        assert all(re.search(f"--set '?{name}=", text) for name in record.config.get("changed", ()))


def test_times_are_kept_by_notebook_and_the_last_one_counts(tmp_path):
    assert "make book" in trust.time_table(trust.read_times(tmp_path))
    trust.record_time(tmp_path, book.Path("book/a/one.ipynb"), 9.0, 12.0)
    trust.record_time(tmp_path, book.Path("book/a/two.ipynb"), 1.0, 2.0)
    trust.record_time(tmp_path, book.Path("book/a/one.ipynb"), 8.0, 20.0)
    table = trust.time_table(trust.read_times(tmp_path)).splitlines()
    assert table[2].startswith("| {doc}`a/two` | 1 | 2 |")
    assert table[3].startswith("| {doc}`a/one` | 8 | 20 |")
    assert table[4].startswith("| all | 9 | 22 |")
    assert json.loads((tmp_path / trust.TIMES).read_text()).keys() == {
        "book/a/one.ipynb",
        "book/a/two.ipynb",
    }
