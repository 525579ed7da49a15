from dataclasses import replace

import numpy as np
import pytest

from localbook import runs
from localbook.experiments import run, setting

NAME = "lottery-tickets"
TINY = replace(
    setting(NAME, "quick"),
    seeds=2,
    initialisations=("he", "default"),
    hidden=4,
    rounds=2,
    epochs=1,
    batch_size=400,
    rates=(0.001, 0.1),
)


def test_one_record_for_each_method(tmp_path):
    records = {r.method: r for r in map(runs.read, run(NAME, setting=TINY, out=tmp_path))}
    assert list(records) == ["rewind", "reinit", "finetune", "random"]
    for record in records.values():
        assert len(record.history) == 2 * 2 * 3
        assert [row["left"] for row in record.history[:3]] == [1, 0.5, 0.25]
        assert record.history[0]["distance"] == pytest.approx([0, 0], abs=1e-6)
        for row in record.history:
            for low, high in (row["distance"], row["shape"]):
                assert 0 <= low <= high
            assert 0 <= row["at_images"] <= row["distance"][1] + 1e-6
        assert record.sizes["parameters"] == 64 * 4 + 4 + 4 * 10 + 10
        last = [row["test_accuracy"] for row in record.history if row["round"] == 2]
        assert np.mean([row["test_accuracy"] for row in record.final]) == pytest.approx(
            np.mean(last), abs=1e-6
        )


def test_all_methods_start_from_the_same_dense_networks_and_learning_rates(tmp_path):
    one, *others = map(runs.read, run(NAME, setting=TINY, out=tmp_path))
    assert set(one.config["chosen"]) == {"he", "default"}
    for other in others:
        assert other.config["tuning"] == one.config["tuning"]
        for mine, theirs in zip(one.history, other.history, strict=True):
            if mine["round"] == 0:
                assert mine | {"seconds": 0} == theirs | {"seconds": 0}


def test_the_learning_rate_is_the_best_of_its_initialisation(tmp_path):
    (path,) = run(NAME, setting=TINY, methods=["rewind"], out=tmp_path)
    config = runs.read(path).config
    for name, lr in config["chosen"].items():
        trials = [t for t in config["tuning"] if t["candidate"]["initialisation"] == name]
        assert len(trials) == 2
        assert lr == max(trials, key=lambda t: t["val_accuracy"])["candidate"]["lr"]
