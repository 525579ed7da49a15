from dataclasses import replace

import pytest

from localbook import runs
from localbook.experiments import EXPERIMENTS, PROFILES, run, setting
from localbook.local import BPFreeSGR

NAMES = ("bp-free-digits", "bp-free-cifar10")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_method_tries_equally_many_candidates(name, profile):
    chosen = setting(name, profile)
    assert len({len(chosen.tried(method)) for method in chosen.methods}) == 1


def test_plain_local_learning_is_sgr_without_weight():
    chosen = setting("bp-free-digits", "cpu")
    assert chosen.rule("local", {"lr": 0.1}) == BPFreeSGR(0.0)
    assert chosen.rule("sgr", {"lr": 0.1, "weight": 2.0}) == BPFreeSGR(2.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_runs_from_end_to_end(name, tmp_path, monkeypatch):
    quick = setting(name, "quick")
    tiny = replace(quick, train_images=100, schedule=replace(quick.schedule, epochs=1), seeds=1)
    monkeypatch.setitem(EXPERIMENTS[name].profiles, "quick", tiny)
    for path in run(name, out=tmp_path):
        record = runs.read(path)
        assert record.sizes["train"] == 100
        assert record.sizes["val"] <= 100
        assert None not in record.history[0]["loss"]
        assert len(record.final[0]["test_accuracy_by_module"]) == 4
