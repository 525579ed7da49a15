import dataclasses
import json
import statistics
import subprocess
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from localbook import runs
from localbook.errors import RecordError
from localbook.paths import recorded_runs
from localbook.runs.record import from_dict
from localbook.runs.tables import summarise


def record(method="bp", values=(0.5, 0.7), **changes):
    seeds = list(range(len(values)))
    whole = {
        "experiment": "an-experiment",
        "profile": "quick",
        "method": method,
        "config": {"setting": {"data": "digits"}},
        "seeds": seeds,
        "source": {"train": "pictures, train", "test": "pictures, test"},
        "sizes": {"train": 10},
        "history": [{"seed": s, "epoch": 1, "loss": [1.0, None]} for s in seeds],
        "final": [
            {"seed": s, "test_accuracy": v} for s, v in zip(seeds, values, strict=True)
        ],
        "wall_s": 1.5,
        "peak_bytes": None,
        "hardware": {"device": "cpu", "cpu": "a processor", "threads": 2},
        "versions": {"torch": "2.0"},
        "commit": "0123456789abcdef",
        "dirty": False,
        "date": "2026-01-02T03:04:05+00:00",
    } | changes  # fmt: skip
    return from_dict(whole)


def test_a_record_survives_writing_and_reading(tmp_path):
    path = runs.write(record(), tmp_path)
    assert path == tmp_path / "an-experiment" / "quick-bp.json"
    assert runs.read(path) == record()
    assert [p.name for p in path.parent.iterdir()] == ["quick-bp.json"]  # nothing half-written


def test_load_filters(tmp_path):
    for method, profile in (("bp", "quick"), ("sgr", "quick"), ("bp", "cpu")):
        runs.write(record(method, profile=profile), tmp_path)
    runs.write(record(experiment="other"), tmp_path)
    assert len(runs.load(folder=tmp_path)) == 4
    quick = runs.load("an-experiment", profile="quick", folder=tmp_path)
    assert [r.method for r in quick] == ["bp", "sgr"]


def test_load_says_how_to_make_what_is_missing(tmp_path):
    with pytest.raises(RecordError, match="localbook run an-experiment"):
        runs.load("an-experiment", folder=tmp_path)


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(runs.Record)])
def test_every_key_is_needed_and_of_its_type(field):
    raw = dataclasses.asdict(record())
    with pytest.raises(RecordError, match=f"lacks the keys {field}"):
        from_dict({k: v for k, v in raw.items() if k != field})
    with pytest.raises(RecordError, match=field):
        from_dict(raw | {field: object()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise": 1}, "unknown keys surprise"),
        ({"date": "yesterday"}, "ISO 8601"),
        ({"seeds": [0, 2]}, "one row for each of 'seeds'"),
        ({"history": [{"seed": 9, "epoch": 1}]}, "'history' needs"),
    ],
)
def test_inconsistent_records_are_refused(changes, message):
    with pytest.raises(RecordError, match=message):
        record(**changes)


def test_no_seeds():
    with pytest.raises(RecordError, match="one row for each"):
        record(values=())


@pytest.mark.parametrize("text", ["{", "[]", "\xff", '{"experiment": "x"}'])
def test_damaged_files_are_named(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(RecordError, match=r"broken\.json"):
        runs.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"cannot read the run record .*gone\.json"):
        runs.read(tmp_path / "gone.json")


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_summary_is_mean_and_sample_deviation(values):
    (row,) = summarise([record(values=values)], "test_accuracy")
    assert row["mean"] == pytest.approx(statistics.fmean(values))
    assert row["sd"] == pytest.approx(statistics.stdev(values))
    assert row["n"] == len(values)


def test_compare_is_a_markdown_table():
    text = runs.compare([record(), record("sgr", (0.9,))])
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "| method | test_accuracy |",
        "|----------|---------------------|",
        "| bp | 0.600 ± 0.141 (n=2) |",
        "| sgr | 0.900 (n=1) |",
    ]


def test_compare_gives_paired_differences_from_a_baseline():
    text = runs.compare([record(), record("sgr", (0.55, 0.75))], baseline="bp", margin=0.01)
    assert "+0.050 [+0.050, +0.050], n=2: confirmed" in text
    with pytest.raises(RecordError, match=r"baseline 'gone'; there are bp"):
        runs.compare([record()], baseline="gone")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=12))
def test_paired_intervals_are_those_of_scipy(pairs):
    values, baseline = zip(*pairs, strict=True)
    found = runs.paired(values, baseline)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns where all differences are equal
        expected = ttest_rel(values, baseline).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(values) - np.mean(baseline), abs=1e-12)
    if np.std(np.subtract(values, baseline)) > 1e-9:
        assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("gains", "margin", "verdict"),
    [
        ((0.02, 0.03, 0.025), 0.0, "confirmed"),
        ((-0.02, -0.03, -0.025), 0.0, "refuted"),
        ((-0.02, 0.03, 0.01), 0.005, "undecided"),
        ((0.001, -0.001, 0.0), 0.01, "equivalent"),
        ((0.001, 0.002, 0.0015), 0.01, "equivalent"),
        ((0.5,), 0.01, "undecided"),
    ],
)
def test_verdicts_follow_interval_and_margin(gains, margin, verdict):
    assert runs.paired(gains, [0.0] * len(gains), margin=margin).verdict == verdict


def test_pairs_are_found_by_seed_and_refused_where_there_are_none():
    assert runs.paired({0: 1.0, 2: 2.0}, {2: 1.5, 0: 0.5, 7: 9.0}).n == 2
    for values, baseline in (([1.0], [1.0, 2.0]), ({0: 1.0}, [1.0]), ({0: 1.0}, {1: 1.0}),
                             ([float("nan")], [1.0])):  # fmt: skip
        with pytest.raises(RecordError, match="pair"):
            runs.paired(values, baseline)


def test_compare_needs_records_and_numbers():
    with pytest.raises(RecordError, match="no record to compare"):
        runs.compare([])
    with pytest.raises(RecordError, match=r"no number 'speed' .* it has seed, test_accuracy"):
        runs.compare([record()], ["speed"])


def test_table_has_one_row_for_each_seed_or_epoch():
    records = [record(), record("sgr", (0.9,))]
    final = runs.table(records)
    assert final["method"].tolist() == ["bp", "bp", "sgr"]
    assert final["test_accuracy"].tolist() == [0.5, 0.7, 0.9]
    assert len(runs.table(records, "history")) == 3
    with pytest.raises(RecordError, match="'final' or 'history'"):
        runs.table(records, "middle")


def test_caption_says_where_numbers_come_from():
    line = runs.caption([record(), record("sgr", dirty=True)])
    for part in (
        "pictures, test",
        "2 seeds",
        "a processor, 2 threads",
        "torch 2.0",
        "012345678, 012345678+",
        "2026-01-02",
        "localbook run an-experiment --profile quick --data digits",
    ):
        assert part in line


def test_caption_names_every_machine_and_version():
    hardware = {"device": "cpu", "cpu": "other", "cores": 8, "threads": 4}
    other = record("sgr", hardware=hardware, versions={**record().versions, "torch": "9.9"})
    line = runs.caption([record(), other])
    assert f"{record().hardware['cpu']}, " in line
    assert " and other, 4 threads" in line
    assert f"torch {record().versions['torch']}, 9.9;" in line


def test_caption_refuses_a_mixture():
    with pytest.raises(RecordError, match="these are of 2"):
        runs.caption([record(), record(profile="cpu")])
    with pytest.raises(RecordError, match="these are of 0"):
        runs.caption([])


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


def test_provenance_names_commit_and_changes(tmp_path, monkeypatch):
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "x")
    monkeypatch.setattr("localbook.runs.origin.checkout", lambda: tmp_path)
    clean = runs.provenance()
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    for folder in ("runs", "benchmarks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "new.json").write_text("{}")
    assert runs.provenance()["dirty"] is False  # a record being written is no change of the code
    (tmp_path / "code.py").write_text("2")
    assert runs.provenance()["dirty"] is True


def test_provenance_outside_a_checkout(tmp_path, monkeypatch):
    for place in (None, tmp_path):  # an installed wheel; a folder that is no repository
        monkeypatch.setattr("localbook.runs.origin.checkout", lambda place=place: place)
        origin = runs.provenance()
        assert (origin["commit"], origin["dirty"]) == (None, False)


def test_the_books_records_follow_the_schema_and_name_no_machines_folders():
    paths = sorted(recorded_runs().rglob("*.json"))
    assert paths
    for path in paths:
        found = runs.read(path)
        assert path.parent.name == found.experiment
        assert path.stem == f"{found.profile}-{found.method}"
        assert found.commit is not None
        assert not found.dirty
        text = json.dumps(dataclasses.asdict(found))
        assert '"/' not in text
        assert "/home/" not in text


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.bool_, np.float32])
def test_counts_in_arrays_pair_as_numbers_do(kind):
    right, wrong = np.array([0, 1, 1], kind), np.array([1, 1, 0], kind)
    assert runs.paired(right, wrong) == runs.paired([0.0, 1.0, 1.0], [1.0, 1.0, 0.0])
