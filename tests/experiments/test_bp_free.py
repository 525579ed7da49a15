from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from localbook import data, runs
from localbook.experiments import EXPERIMENTS, PROFILES, run, setting
from localbook.local import BPFreeSGR, ForwardForward

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


@pytest.mark.parametrize("answer", [2, 7])
def test_forward_forward_is_judged_by_goodness(answer, tmp_path, monkeypatch):
    quick = setting("bp-free-digits", "quick")
    tiny = replace(quick, train_images=100, schedule=replace(quick.schedule, epochs=1), seeds=1)
    monkeypatch.setitem(EXPERIMENTS["bp-free-digits"].profiles, "quick", tiny)

    def always_the_same(rule, net, x):
        return one_hot(torch.full((len(x),), answer), 10)

    monkeypatch.setattr(ForwardForward, "goodness", always_the_same)
    (path,) = run("bp-free-digits", methods=["ff"], out=tmp_path)
    labels = torch.from_numpy(data.load("digits", "test").labels)
    expected = (labels == answer).double().mean().item()
    assert runs.read(path).final[0]["test_accuracy"] == pytest.approx(expected, abs=1e-6)
