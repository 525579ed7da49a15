from dataclasses import replace

import numpy as np
import pytest

from localbook import runs
from localbook.experiments import EXPERIMENTS, Experiment, run
from localbook.experiments import tickets as module

NAME = "lottery-tickets"
TINY = replace(
    module.LOTTERY_TICKETS.profiles["quick"],
    seeds=2,
    initialisations=("he", "default"),
    hidden=4,
    rounds=2,
    epochs=1,
    batch_size=400,
    rates=(0.001, 0.1),
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(
        EXPERIMENTS, NAME, Experiment({"quick": TINY}, module.prune_and_compare)
    )  # fmt: skip


def without_times(record):
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in record.history]
    return record.config, record.sizes, record.final, history


def test_one_record_for_each_method(tiny, tmp_path):
    records = {r.method: r for r in map(runs.read, run(NAME, out=tmp_path))}
    assert list(records) == ["rewind", "reinit", "finetune"]
    for record in records.values():
        assert len(record.history) == 2 * 2 * 3
        assert [row["left"] for row in record.history[:3]] == [1, 0.5, 0.25]
        assert record.history[0]["distance"] == pytest.approx([0, 0], abs=1e-6)
        for row in record.history:
            for low, high in (row["distance"], row["shape"]):
                assert 0 <= low <= high
        assert record.sizes["parameters"] == 64 * 4 + 4 + 4 * 10 + 10
        last = [row["test_accuracy"] for row in record.history if row["round"] == 2]
        assert np.mean([row["test_accuracy"] for row in record.final]) == pytest.approx(
            np.mean(last), abs=1e-6
        )


def test_all_methods_start_from_the_same_dense_networks_and_learning_rates(tiny, tmp_path):
    one, *others = map(runs.read, run(NAME, out=tmp_path))
    assert set(one.config["chosen"]) == {"he", "default"}
    for other in others:
        assert other.config["tuning"] == one.config["tuning"]
        for mine, theirs in zip(one.history, other.history, strict=True):
            if mine["round"] == 0:
                assert mine | {"seconds": 0} == theirs | {"seconds": 0}


def test_the_learning_rate_is_the_best_of_its_initialisation(tiny, tmp_path):
    (path,) = run(NAME, methods=["rewind"], out=tmp_path)
    config = runs.read(path).config
    for name, lr in config["chosen"].items():
        trials = [t for t in config["tuning"] if t["candidate"]["initialisation"] == name]
        assert len(trials) == 2
        assert lr == max(trials, key=lambda t: t["val_accuracy"])["candidate"]["lr"]


def test_interrupted_work_continues_to_the_same_numbers(tiny, tmp_path, monkeypatch):
    (whole,) = run(NAME, methods=["reinit"], out=tmp_path / "whole")
    original, done = module._measured, []

    def interrupted(*args):
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(module, "_measured", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(NAME, methods=["reinit"], out=tmp_path / "broken")
    (path,) = run(NAME, methods=["reinit"], out=tmp_path / "broken", resume=True)
    assert len(done) == 3 + 2  # the two that were finished are not done again
    assert without_times(runs.read(path)) == without_times(runs.read(whole))
