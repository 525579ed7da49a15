import pytest
import torch

from localbook import runs
from localbook.experiments import run, setting
from localbook.experiments.comparisons import VARIANTS, shuffled_target, zero_target
from localbook.local import SGR, ConvNet
from localbook.local.rules.sgr.step import squared_distance

G = torch.Generator().manual_seed(0)
GAMMA, TARGET = (torch.randn(5, 3, 2, 2, generator=G) for _ in range(2))


def test_the_controls_by_hand():
    assert zero_target(GAMMA, TARGET).item() == pytest.approx(GAMMA.square().sum().item() / 5)
    others = torch.stack([TARGET[i - 1] for i in range(5)])
    expected = squared_distance(GAMMA, others)
    assert torch.allclose(shuffled_target(GAMMA, TARGET), expected)


def test_a_distance_of_ones_own_is_the_named_one():
    net = ConvNet((4, 4), (1, 1)).build(1, 3, seed=0)
    x, y = torch.randn(6, 1, 8, 8, generator=G), torch.tensor([0, 1, 2, 0, 1, 2])
    gradients = []
    for distance in ("squared", squared_distance):
        net.zero_grad()
        SGR(2.0, distance).gradients(net, x, y)
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.equal(*gradients)


def test_early_and_late_share_the_modules():
    early, late = VARIANTS["early"](2.0, 6).weight, VARIANTS["late"](2.0, 6).weight
    assert early == (2.0, 2.0, 2.0, 0.0, 0.0, 0.0)
    assert [a + b for a, b in zip(early, late, strict=True)] == [2.0] * 6


def test_every_weight_is_run_by_itself_and_tried_by_every_variant():
    chosen = setting("sgr-ablation", "cpu")
    assert chosen.tried("lambda-10") == ({"lr": 0.05, "weight": 10.0},)
    assert [c["weight"] for c in chosen.tried("cosine")] == list(chosen.weights)
    assert chosen.tried("local") == ({"lr": 0.05},)


def test_reconciling_lowers_the_discord_and_small_gradients_alone_do_not_align(tmp_path):
    methods = ["squared", "zero-target", "shuffled-target"]
    paths = run("sgr-ablation", methods=methods, seeds=1, out=tmp_path)
    by_method = {r.method: r for r in map(runs.read, paths)}
    cosine = {method: min(row["cosine"][-1] for row in r.final) for method, r in by_method.items()}
    assert cosine["squared"] > cosine["zero-target"]
    assert cosine["squared"] > cosine["shuffled-target"]
