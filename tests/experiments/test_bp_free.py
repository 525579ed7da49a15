from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from localbook import data, runs
from localbook.experiments import run, setting
from localbook.local import ForwardForward

NAMES = ("bp-free-digits", "bp-free-cifar10")


def tiny(name):
    quick = setting(name, "quick")
    schedule = replace(quick.schedule, epochs=1)
    return replace(quick, images=(100, 100, None), schedule=schedule, seeds=1)


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_runs_from_end_to_end(name, tmp_path):
    for path in run(name, setting=tiny(name), out=tmp_path):
        record = runs.read(path)
        assert record.sizes["train"] == 100
        assert record.sizes["val"] <= 100
        assert None not in record.history[0]["loss"]
        assert len(record.final[0]["test_accuracy_by_module"]) == 4


@pytest.mark.parametrize("answer", [2, 7])
def test_forward_forward_is_judged_by_goodness(answer, tmp_path, monkeypatch):
    def always_the_same(rule, net, x):
        return one_hot(torch.full((len(x),), answer), 10)

    monkeypatch.setattr(ForwardForward, "scores", always_the_same)
    (path,) = run("bp-free-digits", setting=tiny("bp-free-digits"), methods=["ff"], out=tmp_path)
    labels = torch.from_numpy(data.load("digits", "test").labels)
    expected = (labels == answer).double().mean().item()
    assert runs.read(path).final[0]["test_accuracy"] == pytest.approx(expected, abs=1e-6)


def test_forward_forward_by_sums_is_offered_smaller_rates_and_as_many():
    one = setting("bp-free-digits", "cpu")
    (summed, mean) = ([c["lr"] for c in one.tried(m)] for m in ("ff", "ff-mean"))
    assert summed == pytest.approx([rate / 500 for rate in mean], rel=1e-9)
    assert len(mean) == len(one.tried("sgr"))
