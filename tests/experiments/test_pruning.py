from dataclasses import replace

import numpy as np
import pytest
import torch

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import EXPERIMENTS, run
from localbook.experiments.harness import Samples
from localbook.experiments.pruning import METHODS, Trained, linear_layers, measure, zeroing
from localbook.fit import mlp

NAME = "tropical-pruning"
TINY = replace(
    EXPERIMENTS[NAME].profiles["quick"],
    images=(300, 60, 100),
    hidden=(20, 12),
    batches=20,
    tuning_batches=5,
    rates=(1e-3, 1e-2),
    exponents=(0.5, 1.0),
    compressions=(0.6, 0.8),
    methods=tuple(METHODS),
    seeds=2,
)


def trained(seed=0):
    net = mlp((10, 16, 12, 4), seed)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(50, 10, generator=generator)
    return Trained(net, Samples(x, torch.arange(50) % 4), 1.0)


def test_every_method_is_recorded_at_equal_compression(tmp_path):
    records = [runs.read(path) for path in run(NAME, setting=TINY, out=tmp_path)]
    assert [r.method for r in records] == list(METHODS)
    total = records[0].sizes["parameters"]
    for record in records:
        assert len(record.history) == 2 * 3 * 2
        assert record.final[0]["dense"] == records[0].final[0]["dense"]
        for row in record.history:
            allowed = round((1 - row["compression"]) * total)
            neurons = record.method in ("tropical-neurons", "torch-ln")
            assert row["nonzero"] == allowed or (neurons and 0 < row["nonzero"] < allowed)
        assert {"none_60", "bias_80", "full_80", "dead_60"} <= record.final[0].keys()


def test_every_method_tries_equally_many_candidates(tmp_path):
    for record in map(runs.read, run(NAME, setting=TINY, out=tmp_path, seeds=1)):
        exponents = 2 if record.method in ("tropical", "path-l2", "lookahead") else 1
        assert sum(row["mode"] == "none" for row in record.config["tuning"]) == exponents
        for mode in ("bias", "full"):
            mine = [row for row in record.config["tuning"] if row["mode"] == mode]
            assert len(mine) == 2
            best = max(mine, key=lambda row: row["val_accuracy"])
            assert record.config["chosen"][mode] == best["candidate"]
            assert [row["candidate"]["lr"] for row in mine] == [1e-3, 1e-2]


def test_methods_apart_give_the_same_records_as_methods_together(tmp_path):
    whole = {r.method: r for r in map(runs.read, run(NAME, setting=TINY, out=tmp_path / "whole"))}
    for method in ("snip", "tropical"):
        (path,) = run(NAME, setting=TINY, out=tmp_path / "parts", methods=[method])
        assert runs.read(path).final == whole[method].final


def test_heads_are_given_the_features_of_their_shape(tmp_path):
    for name, inputs in (("tropical-pruning-vgg16", 512), ("tropical-pruning-alexnet", 9216)):
        small = replace(
            EXPERIMENTS[name].profiles["quick"],
            images=(200, 60, 60),
            hidden=(8, 8),
            batches=2,
            tuning_batches=1,
            compressions=(0.6,),
            methods=("tropical",),
            seeds=1,
        )
        (path,) = run(name, setting=small, out=tmp_path)
        assert runs.read(path).sizes["parameters"] == 8 * (inputs + 1) + 8 * 9 + 6 * 9


@pytest.mark.parametrize("name", METHODS)
def test_what_is_pruned_stays_zero_and_the_rest_is_untouched(name):
    dense = trained()
    before = [w.copy() for w in dense.weights]
    masks = METHODS[name](dense, 0.5)
    zeroing(dense.net, masks)(0)
    for layer, old, weight, bias in zip(linear_layers(dense.net), before, *masks, strict=True):
        new = layer.weight.detach().numpy()
        np.testing.assert_array_equal(new, old * weight)
        assert not layer.bias.detach().numpy()[~bias].any()


def test_the_prunings_of_the_same_idea_agree_with_torch():
    dense = trained(3)
    for ours, theirs in zip(
        METHODS["class-uniform"](dense, 0.7)[0], METHODS["torch-l1"](dense, 0.7)[0], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_dead_neurons_are_counted():
    net = mlp((3, 4, 2), seed=0)
    first, last = linear_layers(net)
    first.weight.data.zero_()
    first.bias.data = torch.tensor([-1.0, -1.0, -1.0, 1.0])
    last.weight.data.zero_()
    last.bias.data = torch.tensor([0.0, 1.0])
    accuracy, dead = measure(net, Samples(torch.randn(5, 3), torch.tensor([1, 1, 1, 0, 1])))
    assert (accuracy, dead) == (0.8, 0.75)


def test_too_much_compression():
    with pytest.raises(ConfigError, match="one neuron a layer"):
        METHODS["torch-ln"](trained(), 0.97)
