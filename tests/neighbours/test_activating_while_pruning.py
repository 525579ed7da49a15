"""Pruning that makes neurons fire: the choice against slow loops, monotony, rates, the claims."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from localbook import local, neighbours, runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.fit import fit, mlp

ap = neighbours.activating_while_pruning
NAME = "activating-while-pruning"


def integers(*shape, seed, low=-4, high=5):
    return torch.from_numpy(np.random.default_rng(seed).integers(low, high, shape)).double()


def ones(net):
    return [torch.ones_like(w, dtype=torch.bool) for w in ap.prunable(net)]


def trainer(widths=(6, 8, 7, 3), n=60):
    x = torch.rand(n, widths[0], generator=torch.Generator().manual_seed(5))
    y = (x[:, :3]).argmax(1)
    how = {"epochs": 2, "batch_size": 20, "lr": 0.05, "seed": 0}
    return lambda net, hold: fit(net, x, y, after_step=hold, **how)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))
def test_behind_a_relu_a_negative_weight_less_never_kills_and_a_positive_one_never_wakes(
    seed, inputs, neurons, share
):
    """In whole numbers, so exactly; any set of weights of one sign at once."""
    w, b = integers(neurons, inputs, seed=seed), integers(neurons, seed=seed + 1)
    x = integers(20, inputs, seed=seed + 2).relu()
    gone = torch.from_numpy(np.random.default_rng(seed).random(w.shape) < share)
    active = x @ w.T + b > 0
    without_negative = x @ w.masked_fill(gone & (w < 0), 0).T + b > 0
    without_positive = x @ w.masked_fill(gone & (w > 0), 0).T + b > 0
    assert not (active & ~without_negative).any()
    assert not (without_positive & ~active).any()


def test_it_is_not_so_for_inputs_of_both_signs_nor_in_the_next_layer():
    x = torch.tensor([[-1.0, 1.0]])
    w = torch.tensor([[-2.0, -1.0]])
    assert (x @ w.T > 0).item()
    assert not (x @ (w * torch.tensor([0.0, 1.0])).T > 0).item()
    second = torch.tensor([[-1.0]])  # whose own input rises when the first layer fires
    before, after = (F.relu(torch.ones(1, 1) * first) @ second.T + 0.5 for first in (-1.0, 1.0))
    assert before > 0 > after


@pytest.mark.parametrize("host", [ap.magnitude, ap.tropical_costs])
def test_hosts_prune_what_the_house_and_torch_prune(host):
    net = mlp((5, 9, 8, 4), seed=1).double()
    masks = ap.pruned(ones(net), host(net), 60)
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    weights = [layer.weight.detach().numpy() for layer in layers]
    biases = [layer.bias.detach().numpy() for layer in layers]
    of = {
        ap.magnitude: [np.abs(w) for w in weights],
        ap.tropical_costs: tropical.weight_costs(weights, biases),
    }
    share = 60 / sum(w.size + len(b) for w, b in zip(weights, biases, strict=True))
    for mask, kept in zip(masks, tropical.keep_weights(weights, of[host], share), strict=True):
        assert np.array_equal(mask.numpy(), kept)
    if host is ap.magnitude:
        pairs = [(layer, "weight") for layer in layers]
        prune.global_unstructured(pairs, prune.L1Unstructured, amount=60)
        for mask, layer in zip(masks, layers, strict=True):
            assert torch.equal(mask, layer.weight_mask.bool())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.booleans())
def test_the_lowest_eligible_go_first_against_a_sorted_list(seed, count, restricted):
    """Scores tie often, and weights run out."""
    rng = np.random.default_rng(seed)
    shapes = [(3, 4), (2, 3)]
    masks = [torch.from_numpy(rng.random(s) < 0.9) for s in shapes]
    scores = [torch.from_numpy(rng.integers(0, 3, s)) for s in shapes]
    eligible = [torch.from_numpy(rng.random(s) < 0.4) for s in shapes] if restricted else None
    places = [(k, i, j) for k, (m, n) in enumerate(shapes) for i in range(m) for j in range(n)]
    left = [p for p in places if masks[p[0]][p[1:]]]
    count = min(count, len(left))
    order = sorted(
        left,
        key=lambda p: (restricted and not eligible[p[0]][p[1:]], scores[p[0]][p[1:]].item()),
    )
    found = ap.pruned(masks, scores, count, eligible)
    expected = set(left) - set(order[:count])
    assert {p for p in places if found[p[0]][p[1:]]} == expected


@pytest.mark.parametrize("name", ap.CHOICES)
def test_a_cycle_removes_what_it_says(name):
    """The masks against the trained weights: the host's share first, then the choice's."""
    choice, initial = ap.CHOICES[name], mlp((6, 8, 7, 3), seed=0)
    net, train, seen = copy.deepcopy(initial), trainer(), []

    def watched(net, hold):
        seen.append([w.detach().clone() for w in ap.prunable(net)])
        train(net, hold)
        seen.append([w.detach().clone() for w in ap.prunable(net)])

    how = {"cycles": 3, "choice": choice, "p": 0.4, "q": 0.05, "seed": 3}
    masks = list(ap.activate_while_pruning(net, watched, **how))
    total = sum(m.numel() for m in masks[0])
    starts, ends = seen[::2], seen[1::2]
    for number in range(1, 4):
        kept = sum(int(m.sum()) for m in masks[number])
        assert kept == round(total * 0.6**number)
        for mask, before, start, end, w in zip(
            masks[number], masks[number - 1], starts[number], ends[number],
            ap.prunable(initial), strict=True,
        ):  # fmt: skip
            assert not (mask & ~before).any()
            assert torch.equal(start, w * mask)
            assert not end[~mask].any()
        then = torch.cat([w.flatten() for w in ends[number - 1]])
        first = torch.cat([w.detach().flatten() for w in ap.prunable(initial)])
        flat, old = (torch.cat([m.flatten() for m in masks[k]]) for k in (number, number - 1))
        gone = (old & ~flat).nonzero()[:, 0].tolist()
        chosen = round(0.05 * int(old.sum()))
        by_host = sorted(old.nonzero()[:, 0].tolist(), key=lambda i: then[i].abs().item())
        rest = set(gone) - set(by_host[: len(gone) - chosen])
        assert len(rest) == chosen
        assert all(then[i] * choice.sign > 0 for i in rest if choice.sign)
        if choice.least_moved:
            spared = [i for i in flat.nonzero()[:, 0].tolist() if then[i] * choice.sign >= 0]
            farthest = max(abs(then[i] - first[i]) for i in rest)
            assert all(abs(then[i] - first[i]) >= farthest for i in spared if choice.sign)


def test_without_a_choice_it_is_the_books_iterative_pruning():
    net = mlp((6, 8, 3), seed=0)
    initial = tropical.from_torch(copy.deepcopy(net).eval())
    x = np.random.default_rng(0).random((60, 6)).astype(np.float32)
    y = x[:, :3].argmax(1)
    how = {"epochs": 2, "batch_size": 20, "lr": 0.05}
    train = tropical.ticket_trainer(x, y, tropical.Training(**how), seed=0)
    theirs = tropical.iterative_pruning(initial, train, tropical.Pruning(0.3, 3))
    data = torch.from_numpy(x), torch.from_numpy(y)
    ours = ap.activate_while_pruning(
        net, lambda net, hold: fit(net, *data, seed=0, after_step=hold, **how),
        cycles=3, choice=None, p=0.3, seed=0,
    )  # fmt: skip
    for masks, other in zip(ours, theirs, strict=True):
        assert all(map(np.array_equal, masks, other.masks))
        assert np.allclose(tropical.from_torch(net)(x), other.network(x), atol=1e-5)


def test_rates_against_slow_counts_and_what_static_means():
    net = mlp((3, 4, 2, 2), seed=0)
    with torch.no_grad():
        net[0].weight[0], net[0].bias[0] = 0, -1.0  # pruned and silent: static
        net[0].weight[1], net[0].bias[1] = 0, 1.0  # pruned, but always on
        net[2].weight[0], net[2].bias[0] = -1.0, -1.0  # silent, not pruned
    x = torch.rand(50, 3)
    hidden = [F.relu(net[0](x))]
    hidden.append(F.relu(net[2](hidden[0])))
    zero = torch.cat([h == 0 for h in hidden], dim=1).double()
    found = ap.dead_rates(net, x)
    assert found["dead"] == pytest.approx(zero.mean().item())
    assert found["static"] == pytest.approx(1 / 6)
    assert found["dynamic"] == pytest.approx(zero.mean().item() - 1 / 6)
    assert found["silent"] == pytest.approx(zero.all(0).double().mean().item())


def test_functional_relus_of_a_residual_network_count_place_by_place():
    net, x = local.cifar_resnet(8, seed=0).eval(), torch.randn(4, 3, 16, 16)
    parts = ap.firing(net, x)
    assert [tuple(active.shape[1:]) for active, _ in parts] == (
        3 * [(16, 16, 16)] + 2 * [(32, 8, 8)] + 2 * [(64, 4, 4)]
    )
    assert torch.equal(parts[0][0], net[2](net[1](net[0](x))) > 0)
    with torch.no_grad():
        net[3][0].conv1.weight[5] = 0
    ((active, fed),) = ap.firing(net, x)[1:2]
    assert fed.flatten().nonzero()[:, 0].tolist() == [c for c in range(16) if c != 5]
    assert active.shape[1:] == torch.broadcast_shapes(active.shape[1:], fed.shape)


def test_rates_fall_with_pruning_and_the_sign_moves_them(records):
    """Right after the rewinding, where nothing has answered yet, and after training."""
    for ours, theirs, other in zip(
        *(records[name].final for name in ("ap", "lt", "mirror")), strict=True
    ):
        assert ours["dynamic_start"] < theirs["dynamic_start"] < other["dynamic_start"]
        assert ours["left"] == theirs["left"] == other["left"]
        assert ours["dense"] == theirs["dense"] == other["dense"]
    for seed in records["lt"].seeds:
        rows = [row for row in records["lt"].history if row["seed"] == seed]
        assert rows[-1]["dynamic"] < rows[0]["dynamic"]


@pytest.mark.parametrize("network", ["resnet", "vit"])
def test_other_networks_run_twice_to_equal_records(network, tmp_path):
    (one,), (other,) = (
        map(runs.read, run(f"{NAME}-{network}", out=tmp_path / part, seeds=1)) for part in "ab"
    )
    assert one.history == other.history
    assert [row["cycle"] for row in one.history] == [0, 1, 2, 3]
    assert one.history[-1]["left"] == pytest.approx(0.6**3, abs=1e-3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: ap.activate_while_pruning(mlp((2, 2), 0), print, cycles=1, choice=None, q=0.3,
                                           seed=0), "let 0 < q < p < 1"),
        (lambda: ap.prunable(nn.ReLU()), "no linear or convolutional layer"),
        (lambda: ap.firing(mlp((2, 2), 0), torch.rand(3, 2)), "no ReLU behind"),
        (lambda: ap.pruned([torch.ones(2, 2).bool()], [torch.ones(2, 2)], 5), "at most 4"),
        (lambda: ap.pruned([torch.ones(2).bool()], [torch.tensor([1, np.nan])], 1),
         "check the training"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(wrong, says):
    with pytest.raises(ConfigError, match=says):
        wrong()
