import dataclasses
import itertools
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from localbook import benchmarks
from localbook.benchmarks import multigrid
from localbook.benchmarks.geometry import boundary, regions, zonotope
from localbook.benchmarks.geometry.baselines_zonotope import all_determinants
from localbook.benchmarks.harness.meter import peak_mib
from localbook.benchmarks.harness.record import from_dict
from localbook.benchmarks.harness.row import NOISY, counted, number
from localbook.cli import main
from localbook.errors import ConfigError, RecordError
from localbook.experiments.neighbours.multigrid import Darcy
from localbook.files import as_json
from localbook.neighbours.multigrid import network
from localbook.paths import recorded_benchmarks
from localbook.tropical import Zonotope

ERROR = "relative error"


class FakeTime:
    """A clock that stands still but for the work that is pretended to take time."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, *seconds):
        durations = itertools.cycle(seconds)

        def routine():
            self.now += next(durations)

        return routine


def row(**changes):
    whole = {
        "what": "zonotope, plane", "size": "10 generators", "unit": "ms", "value": 2.0,
        "low": 1.9, "high": 2.1, "n": 5, "wall": 2.5, "baseline": "a sort",
        "baseline_value": 6.0, "target": benchmarks.Target("ratio", 0.5),
    }  # fmt: skip
    return benchmarks.Row(**whole | changes)


def benchmark(*rows, **changes):
    whole = {
        "name": "zonotope", "noise": 0.01, "rows": list(rows) or [row()],
        "hardware": {"cpu": "a processor"}, "versions": {"numpy": "2.0"},
        "commit": "0123456789abcdef", "dirty": False, "date": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    return benchmarks.Benchmark(**whole | changes)


def test_the_meter_gives_median_quartiles_and_leaves_the_warm_up_out():
    clock = FakeTime()
    meter = benchmarks.Meter(clock, clock, samples=5)
    # Two calls are warm-up; each is longer than a sample must be, so one call is one sample.
    routine = clock.work(9.0, 9.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    found = meter.compare({"it": routine})["it"]
    assert found.median == pytest.approx(300)
    assert (found.low, found.high) == (pytest.approx(200), pytest.approx(400))
    assert found.wall == pytest.approx(300)
    assert found.n == 5


def test_short_routines_are_called_many_times_and_slow_ones_three():
    clock = FakeTime()
    meter = benchmarks.Meter(clock, clock, samples=15, most=4.0)
    calls = {"short": 0, "slow": 0}

    def counting(name, seconds):
        work = clock.work(seconds)

        def routine():
            calls[name] += 1
            work()

        return routine

    found = meter.compare({n: counting(n, s) for n, s in (("short", 0.001), ("slow", 5.0))})
    assert found["short"].n == 15
    assert found["short"].median == pytest.approx(1)
    assert calls["short"] >= 15 * 10
    assert found["slow"].n == 3
    assert calls["slow"] == 2 + 3


def test_noise_is_the_spread_of_the_fixed_work():
    assert benchmarks.Meter(reference=[1.0] * 20).noise == 0
    spread = benchmarks.Meter(reference=list(np.linspace(1, 2, 11))).noise
    assert spread == pytest.approx((1.9 - 1.1) / 1.5)
    assert spread > NOISY


@pytest.mark.parametrize(
    ("changes", "noise", "verdict"),
    [
        ({}, 0.0, "met"),  # 2.0 of 3.0
        ({"value": 3.1, "low": 3.0, "high": 3.2}, 0.0, "missed"),
        ({"value": 3.1, "low": 3.0, "high": 3.2}, 0.3, "too noisy to tell"),
        ({"value": 2.7, "low": 2.6, "high": 2.8}, 0.3, "too noisy to tell"),
        ({"value": 0.2, "low": 0.2, "high": 0.3}, 0.3, "met"),  # far from the limit
        ({"value": 30.0, "low": 29.0, "high": 31.0}, 0.3, "missed"),
        ({"target": None}, 0.0, ""),
        ({"target": benchmarks.Target("value", 1.5)}, 0.0, "missed"),
        ({"target": benchmarks.Target("value", 2.0)}, 0.0, "met"),
        ({"unit": "MiB", "value": 3.1, "low": 3.1, "high": 3.1}, 0.3, "missed"),  # no time
    ],
)
def test_verdicts(changes, noise, verdict):
    assert row(**changes).verdict(noise) == verdict


def test_counts_must_be_equal_whatever_the_noise():
    exact = benchmarks.Target("equal")
    assert counted("a", "b", "vertices", 92, "formula", 92, exact).verdict(0.9) == "met"
    assert counted("a", "b", "vertices", 91, "formula", 92, exact).verdict(0.0) == "missed"


def test_a_row_that_cannot_be_judged_is_refused():
    with pytest.raises(RecordError, match="needs the value of its baseline"):
        row(baseline_value=None)
    with pytest.raises(RecordError, match="value, ratio or equal"):
        benchmarks.Target("fast")


def test_the_table_says_it_all():
    text = benchmarks.table(
        benchmark(row(), counted("residual", "2-4-2", "of the scores", 1.25e-15))
    )
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert lines[2] == [
        "zonotope, plane", "10 generators", "2 ms (1.9 to 2.1)", "5", "a sort: 6 ms", "3",
        "≤ 0.5 × baseline", "met",
    ]  # fmt: skip
    assert lines[3][:4] == ["residual", "2-4-2", "1.25e-15 of the scores", ""]
    assert len({len(line) for line in text.splitlines()}) == 1  # aligned


def test_numbers_are_short():
    shown = [number(x) for x in (0.02384, 1.5, 80.0, 89702.0, 1750.6, 4e-16)]
    assert shown == ["0.0238", "1.5", "80", "89,702", "1,751", "4e-16"]


def test_the_caption_says_where_and_how_quiet():
    for noise, words in ((0.01, "quiet (a fixed work varied by 1 %)"), (0.5, "too noisy")):
        line = benchmarks.caption(benchmark(noise=noise))
        for part in ("a processor", words, "numpy 2.0", "012345678", "2026-01-02",
                     "localbook bench zonotope"):  # fmt: skip
            assert part in line


def test_a_benchmark_survives_writing_and_reading(tmp_path):
    made = benchmark(row(), row(target=None, baseline="", baseline_value=None, wall=None))
    path = benchmarks.write(made, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["zonotope.json"]
    assert benchmarks.read(path) == made
    assert benchmarks.load("zonotope", tmp_path) == made


@pytest.mark.parametrize("key", [f.name for f in dataclasses.fields(benchmarks.Benchmark)])
def test_every_key_of_a_record_is_needed_and_of_its_type(key):
    raw = json.loads(as_json(benchmark()))
    with pytest.raises(RecordError, match=f"lacks the keys {key}"):
        from_dict({k: v for k, v in raw.items() if k != key})
    with pytest.raises(RecordError, match=key):
        from_dict(raw | {key: 7})


@pytest.mark.parametrize("key", [f.name for f in dataclasses.fields(benchmarks.Row)])
def test_every_key_of_a_row_is_needed(key):
    raw = json.loads(as_json(benchmark()))
    del raw["rows"][0][key]
    with pytest.raises(RecordError, match=f"row lacks the keys {key}"):
        from_dict(raw)


def test_strange_records_are_refused(tmp_path):
    raw = json.loads(as_json(benchmark()))
    with pytest.raises(RecordError, match="unknown keys speed"):
        from_dict(raw | {"speed": 1})
    with pytest.raises(RecordError, match="'value' must be a number"):
        from_dict(raw | {"rows": [raw["rows"][0] | {"value": "fast"}]})
    with pytest.raises(RecordError, match="ISO 8601"):
        from_dict(raw | {"date": "yesterday"})
    with pytest.raises(RecordError, match=r"make it with `localbook bench gone`"):
        benchmarks.load("gone", tmp_path)
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(RecordError, match=r"half\.json is damaged"):
        benchmarks.load("half", tmp_path)


def quick():
    return benchmarks.Meter(samples=1, most=0.0)


def test_the_zonotope_benchmark_runs():
    small = zonotope.Sizes(plane=(6,), space=(6,), four=(6,), five=(6,), volumes=((3, 6),))
    found = list(zonotope.measure(quick(), small))
    assert {r.baseline for r in found} >= {"sort of angles, plain", "all pairs, O(p³)",
                                           "incremental Qhull", "2^p points, Qhull"}  # fmt: skip
    counts = [r for r in found if r.unit == "vertices"]
    assert [r.value for r in counts] == [12, 32, 52, 62]
    assert all(r.verdict(0.0) == "met" for r in counts)


@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_the_baseline_of_volumes_finds_the_same(dimension):
    generators = np.random.default_rng(3).normal(size=(8, dimension))
    volume = Zonotope(generators).volume()
    assert all_determinants(generators) == pytest.approx(volume, rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 3])
def test_all_baselines_of_zonotopes_find_the_same_vertices(dimension):
    generators = np.random.default_rng(3).normal(size=(8, dimension))
    sizes = zonotope.Sizes()
    named = sizes.plane_baselines if dimension == 2 else sizes.space_baselines
    found = [call(generators) for name, (call, _) in named.items() if name != "numpy's sort"]
    for points in (np.asarray(found[k]) for k in range(len(found))):
        assert len(points) == (16 if dimension == 2 else 58)
        np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(found[0][:, 0]), atol=1e-12)


def test_the_boundary_benchmark_runs_and_its_counts_agree():
    found = list(boundary.measure(quick(), ((2, 8, 2), (2, 4, 4, 2)), (2, 80, 80, 2)))
    counts = [r for r in found if r.unit == "segments"]
    assert [r.verdict(0.0) for r in counts] == ["met", "met"]
    residuals = [r for r in found if r.what == "residual"]
    assert [r.verdict(0.0) for r in residuals] == ["met", "met"]
    (length,) = [r for r in found if r.unit == "length"]
    assert length.value > 1
    assert length.verdict(0.0) == "met"


def test_the_regions_benchmark_runs_and_its_counts_agree():
    found = list(regions.measure(quick(), ((2, 8, 2), (2, 4, 4, 2))))
    counts = [r for r in found if r.unit == "regions"]
    assert [r.baseline for r in counts] == [
        "cells one by one", "1 + folds + crossings", "cells one by one",
    ]  # fmt: skip
    assert all(r.verdict(0.0) == "met" for r in counts)


def test_memory_is_that_of_the_call_alone():
    assert peak_mib(lambda: np.ones(1 << 17)) == pytest.approx(1, abs=0.05)
    assert peak_mib(lambda: None) < 0.05


def tiny(meter):
    yield from regions.measure(quick(), ((2, 3, 2),))


def test_the_command_prints_a_table_or_json_and_keeps_a_record(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(benchmarks.BENCHMARKS, "regions", tiny)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # so that it is put back after the command set it
    words = ["bench", "regions", "--out", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("| what")
    assert "Again: localbook bench regions" in shown
    assert main([*words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert from_dict(shown) == benchmarks.load("regions", tmp_path)


def test_an_unknown_benchmark_is_named(capsys, tmp_path):
    with pytest.raises(ConfigError, match=r"choose one of book, .*, zonotope"):
        benchmarks.run("speed")
    assert main(["bench", "speed", "--out", str(tmp_path)]) == 1
    assert "unknown benchmark 'speed'" in capsys.readouterr().err


def test_the_books_benchmarks_follow_the_schema():
    paths = sorted(recorded_benchmarks().glob("*.json"))
    geometry = {"boundary", "regions", "zonotope"}
    assert {path.stem for path in paths} >= geometry
    for path in paths:
        found = benchmarks.read(path)
        assert found.name == path.stem
        assert found.commit is not None
        assert not found.dirty
        exact = [r for r in found.rows if r.target and r.target.kind == "equal"]
        assert bool(exact) == (path.stem in geometry)
        assert all(r.verdict(found.noise) == "met" for r in exact)


def test_peers_are_asked_for_in_one_sentence_and_counted_what_we_count():
    with pytest.raises(ConfigError, match=r"edge_subdivision: clone github.com/"):
        benchmarks.run("peers")
    counts = [r for r in benchmarks.read(recorded_benchmarks() / "peers.json").rows if r.n == 1]
    assert len(counts) >= 10
    for count in counts:
        assert count.value == count.baseline_value, (count.what, count.size)


def test_transformers_are_asked_for_in_one_sentence_and_score_what_we_score():
    with pytest.raises(ConfigError, match="pip install transformers accelerate"):
        benchmarks.run("language")
    rows = benchmarks.read(recorded_benchmarks() / "language.json").rows
    assert [row.unit for row in rows] == ["ms", "times as long, by turns", "largest difference"] * 3
    assert all(row.verdict(0) == "met" for row in rows if row.n == 1)


def test_mgnos_peer_is_asked_for_in_one_sentence_and_trained_as_ours_is(monkeypatch):
    with pytest.raises(ConfigError, match=r"needs models: clone github.com/xlliu2017/MgNO"):
        benchmarks.run("multigrid")

    class StandIn(torch.nn.Module):
        """Ours, called and drawn as theirs is."""

        def __init__(self, layers, c, m, classes, steps):
            super().__init__()
            self.net = network(c, layers, steps, torch.initial_seed(), residual=False)
            self.conv_list = [SimpleNamespace(RTlayers=[None])]

        def forward(self, x):
            return self.net(x)

    monkeypatch.setitem(sys.modules, "models", SimpleNamespace(MgNO_DC=StandIn))
    few = Darcy(seeds=2, n=7, levels=2, layers=1, train=4, test=3, steps=4, batch_size=2)
    few = dataclasses.replace(few, rates=(0.01, 1.0))
    rows = list(multigrid.measure(quick(), ((3, few),), few))
    units = ["numbers", "ms", "ms", "times as long, by turns", "numbers", "rate", ERROR, ERROR]
    assert [r.unit for r in rows] == units
    assert all(r.value == r.baseline_value for r in rows if r.unit in ("numbers", "rate", ERROR))
    assert rows[-1].value != rows[-2].value


def test_mgno_has_no_more_numbers_than_its_peer_in_the_record():
    rows = benchmarks.read(recorded_benchmarks() / "multigrid.json").rows
    sizes = [r for r in rows if r.unit == "numbers"]
    assert len(sizes) == 3
    assert all(r.verdict(0) == "met" for r in sizes)
    assert len([r for r in rows if r.unit == ERROR]) == multigrid.TRAINING.seeds
