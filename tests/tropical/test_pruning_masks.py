import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from localbook.errors import ConfigError
from localbook.tropical import (
    class_blind,
    class_distribution,
    class_uniform,
    generators,
    keep_neurons,
    keep_weights,
    lookahead_costs,
    neuron_costs,
    path_costs,
    snip,
    synflow,
    weight_costs,
    without_neurons,
)
from tests.tropical.networks import random_network

few = settings(deadline=None, max_examples=60, derandomize=True)
MAGNITUDE = (class_blind, class_uniform, class_distribution)


@st.composite
def stacks(draw):
    """Layers full of zeros, repeated weights and dead neurons."""
    widths = draw(st.lists(st.integers(1, 5), min_size=3, max_size=4))
    numbers = st.integers(-2, 2)
    weights, biases = [], []
    for i, o in itertools.pairwise(widths):
        flat = draw(st.lists(numbers, min_size=i * o, max_size=i * o))
        weights.append(np.array(flat, dtype=np.float32).reshape(o, i))
        flat = draw(st.lists(numbers, min_size=o, max_size=o))
        biases.append(np.array(flat, dtype=np.float32))
    return weights, biases


def stack(*widths, seed=0):
    network = random_network(*widths, seed=seed)
    return list(network.weights), list(network.biases)


def nonzero(masks, biases):
    return sum(int(m.sum()) for m in masks) + sum(len(c) for c in biases)


def test_costs_of_a_block_are_what_the_generators_move():
    """Against the generators of the theorem, in the mean over classes, formed one by one."""
    network = random_network(3, 5, 4, seed=2)
    costs = weight_costs(network.weights, network.biases)[0]
    neurons = neuron_costs(network.weights, network.biases)[0]
    old = generators(network)
    # What all classes have in common is left out: the mean over the classes.
    apart = old.weights - old.weights.mean(axis=0)
    for j in range(5):
        for m in range(3):
            rows = old.rows.copy()
            rows[j, m] = 0
            moved = apart[:, :, None] * (rows - old.rows)
            assert costs[j, m] == pytest.approx(np.sqrt((moved**2).sum()), rel=1e-12)
        moved = apart[:, j, None] * old.rows[j]
        assert neurons[j] == pytest.approx(np.sqrt((moved**2).sum()), rel=1e-12)


def test_output_weights_cost_the_length_of_the_row_they_scale():
    weights, biases = stack(3, 5, 4)
    lengths = np.linalg.norm(np.column_stack([weights[0], biases[0]]), axis=1)
    np.testing.assert_allclose(weight_costs(weights, biases)[1], np.abs(weights[1]) * lengths)


def test_costs_do_not_see_what_the_network_does_not_see():
    """Rescaled neurons: the same function, the same costs; other magnitudes."""
    weights, biases = stack(6, 8, 7, 3, seed=3)
    rng = np.random.default_rng(0)
    scaled, shifted = [w.copy() for w in weights], [c.copy() for c in biases]
    for layer, width in enumerate((8, 7)):
        factor = np.exp(rng.normal(size=width))
        scaled[layer] *= factor[:, None]
        shifted[layer] *= factor
        scaled[layer + 1] /= factor
    scaled[-1] += rng.normal(size=7)  # a score common to all classes, for each neuron
    old, new = weight_costs(weights, biases), weight_costs(scaled, shifted)
    for a, b in zip(old[:-1], new[:-1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    for a, b in zip(neuron_costs(weights, biases), neuron_costs(scaled, shifted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert any(
        (a != b).any()
        for a, b in zip(class_blind(weights, 0.5), class_blind(scaled, 0.5), strict=True)
    )


def test_exponent_zero_is_the_magnitude():
    weights, biases = stack(4, 5, 3)
    for cost, w in zip(weight_costs(weights, biases, exponent=0.0), weights, strict=True):
        np.testing.assert_array_equal(cost, np.abs(w))


@pytest.mark.parametrize("norm", [1, 2])
def test_paths_are_those_that_go_through_a_weight(norm):
    """Against all paths, walked one by one."""
    weights, _ = stack(3, 4, 2, 3, seed=4)
    sums = [np.zeros(w.shape) for w in weights]
    for path in itertools.product(*(range(n) for n in (3, 4, 2, 3))):
        steps = list(itertools.pairwise(path))
        size = np.prod([abs(w[o, i]) ** norm for w, (i, o) in zip(weights, steps, strict=True)])
        for total, (i, o) in zip(sums, steps, strict=True):
            total[o, i] += size
    for cost, total in zip(path_costs(weights, norm=norm), sums, strict=True):
        np.testing.assert_allclose(cost, total ** (1 / norm))


def test_synflow_of_one_round_is_the_gradient_of_the_sum_over_paths():
    weights, _ = stack(4, 5, 3, seed=5)
    tensors = [torch.tensor(np.abs(w), requires_grad=True) for w in weights]
    (tensors[1] @ (tensors[0] @ torch.ones(4, dtype=torch.float64))).sum().backward()
    scores = [(t.detach() * t.grad).numpy() for t in tensors]
    for cost, score in zip(path_costs(weights, norm=1), scores, strict=True):
        np.testing.assert_allclose(cost, score)
    kept = keep_weights(weights, scores, 0.6)
    for a, b in zip(synflow(weights, 0.6, rounds=1), kept, strict=True):
        np.testing.assert_array_equal(a, b)


def slow_synflow(weights, compression, rounds):
    """Algorithm 1 as it is written: everything is priced and sorted in every round."""
    total, biases = sum(w.size for w in weights), sum(map(len, weights))
    budget = round((1 - compression) * (total + biases)) - biases
    kept = np.ones(total, dtype=bool)
    for number in range(1, rounds + 1):
        left = [w * m for w, m in zip(weights, shaped(kept, weights), strict=True)]
        prices = np.concatenate([p.ravel() for p in path_costs(left, norm=1)])
        order = np.argsort(-np.where(kept, prices, -1), kind="stable")
        kept = np.zeros(total, dtype=bool)
        kept[order[: round(total * (budget / total) ** (number / rounds))]] = True
    return shaped(kept, weights)


def shaped(flat, weights):
    parts = np.split(flat, np.cumsum([w.size for w in weights])[:-1])
    return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]


@few
@given(stacks(), st.floats(0, 0.95), st.sampled_from([1, 2, 7]))
def test_synflow_is_its_slow_reference_on_degenerate_stacks(given_stack, compression, rounds):
    weights, biases = given_stack
    allowed = round((1 - compression) * sum(w.size + len(w) for w in weights))
    if allowed >= sum(map(len, biases)):
        for ours, slow in zip(
            synflow(weights, compression, rounds),
            slow_synflow(weights, compression, rounds),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, slow)


@pytest.mark.parametrize("kind", ["drawn", "tied", "a column that is not like the rest"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_synflow_is_its_slow_reference_where_it_looks_at_a_sample(kind, dtype):
    """Of many weights only the lowest are sorted, up to a bound that every 61st weight gives."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(60, 61)), rng.normal(size=(50, 60)), rng.normal(size=(3, 50))]
    if kind == "tied":
        weights = [w.round() for w in weights]
    elif kind != "drawn":
        weights[0][:, 0] = 1e-9  # all that the sample sees of the first layer
    weights = [w.astype(dtype) for w in weights]
    for compression in (0.0, 0.6, 0.9):
        for ours, slow in zip(
            synflow(weights, compression, 20), slow_synflow(weights, compression, 20), strict=True
        ):
            np.testing.assert_array_equal(ours, slow)


def test_synflow_refuses_paths_that_overflow():
    large = np.full((1, 1), 1e30, np.float32)
    weights = [large, large, np.array([[1], [0]], np.float32)]  # the last weight: 0 times infinity
    with pytest.raises(ConfigError, match="score is not a number"), np.errstate(all="ignore"):
        synflow(weights, 0.2)


def test_synflow_in_rounds_keeps_a_path_where_one_round_empties_a_layer():
    """A layer of many small weights beside one of few large ones: SynFlow's own example."""
    rng = np.random.default_rng(0)
    weights = [w * rng.uniform(0.5, 1.5, w.shape) for w in (np.ones((40, 40)), np.ones((2, 40)))]
    alone = [m.any() for m in class_blind([weights[0], 0.1 * weights[1]], 0.94)]
    rounds = [m.any() for m in synflow([weights[0], 0.1 * weights[1]], 0.94)]
    assert (alone, rounds) == ([True, False], [True, True])


def test_lookahead_with_one_hidden_layer_is_the_price_without_biases_and_mean():
    weights, biases = stack(3, 5, 4)
    weights[1] -= weights[1].mean(axis=0)
    ours = weight_costs(weights, [0 * c for c in biases])
    for a, b, c in zip(ours, lookahead_costs(weights), path_costs(weights), strict=True):
        np.testing.assert_allclose(a, b)
        np.testing.assert_allclose(a, c)


@few
@given(stacks())
def test_costs_of_degenerate_stacks_are_finite_and_keep_the_type(given_stack):
    weights, biases = given_stack
    priced = weight_costs(weights, biases), path_costs(weights), lookahead_costs(weights)
    for cost, w in zip(itertools.chain(*priced), weights * 3, strict=True):
        assert np.isfinite(cost).all()
        assert (cost[w == 0] == 0).all()
        assert cost.dtype == np.float32
    for layer, cost in enumerate(neuron_costs(weights, biases)):
        dead = ~np.column_stack([weights[layer], biases[layer]]).any(axis=1)
        unread = ~weights[layer + 1].any(axis=0)
        assert (cost[dead | unread] == 0).all()


@few
@given(stacks(), st.floats(0, 0.95))
def test_the_compression_is_exact(given_stack, compression):
    weights, biases = given_stack
    total = sum(w.size + len(w) for w in weights)
    allowed = round((1 - compression) * total)
    if allowed >= sum(len(c) for c in biases):
        scores = weight_costs(weights, biases)
        chosen = [method(weights, compression) for method in MAGNITUDE]
        chosen += [keep_weights(weights, scores, compression), snip(weights, weights, compression)]
        chosen += [synflow(weights, compression, rounds=5)]
        assert all(nonzero(masks, biases) == allowed for masks in chosen)
    widths = [weights[0].shape[1], *[1] * (len(weights) - 1), len(weights[-1])]
    if sum((i + 1) * o for i, o in itertools.pairwise(widths)) <= allowed:
        kept = keep_neurons(weights, biases, neuron_costs(weights, biases), compression)
        masks, alive = without_neurons(weights, kept)
        left = sum(int(m.sum()) for m in (*masks, *alive))
        assert left <= allowed
        assert left + largest_neuron(masks, alive) > allowed or all(k.all() for k in kept)


def largest_neuron(masks, alive):
    """The parameters that one more neuron would bring, in the layer where that is most."""
    widths = [int(masks[0].any(axis=0).sum()), *(int(a.sum()) for a in alive)]
    return max(before + 1 + after for before, after in zip(widths[:-2], widths[2:], strict=True))


def test_the_largest_stay():
    weights, biases = stack(4, 6, 3, seed=1)
    flat = np.concatenate([np.abs(w).ravel() for w in weights])
    kept = np.concatenate([m.ravel() for m in class_blind(weights, 0.6)])
    assert flat[kept].min() >= flat[~kept].max()
    shares = [m.mean() for m in class_uniform(weights, 0.6)]
    assert max(shares) - min(shares) < 0.06
    spread = [np.abs(w) / w.std() for w in weights]
    ranked = np.concatenate([s.ravel() for s in spread])
    kept = np.concatenate([m.ravel() for m in class_distribution(weights, 0.6)])
    assert ranked[kept].min() >= ranked[~kept].max()
    costs = neuron_costs(weights, biases)
    (alive,) = keep_neurons(weights, biases, costs, 0.5)
    assert 0 < alive.sum() < 6
    assert costs[0][alive].min() >= costs[0][~alive].max()


def test_equal_weights_are_kept_from_the_first_on():
    weights = [np.ones((2, 2)), np.ones((2, 2))]
    masks = class_blind(weights, 0.5)  # 6 of 12 parameters, 4 of them biases
    assert [m.ravel().tolist() for m in masks] == [[True, True, False, False], [False] * 4]


def test_class_uniform_is_what_torch_does():
    torch.manual_seed(0)
    layers = [nn.Linear(10, 20), nn.Linear(20, 5)]
    weights = [layer.weight.detach().numpy().copy() for layer in layers]
    masks = class_uniform(weights, 0.5)
    for layer, mask in zip(layers, masks, strict=True):
        prune.l1_unstructured(layer, "weight", amount=int((~mask).sum()))
        np.testing.assert_array_equal(layer.weight_mask.numpy().astype(bool), mask)


def test_class_blind_is_what_torch_does():
    torch.manual_seed(1)
    layers = [nn.Linear(10, 20), nn.Linear(20, 5)]
    masks = class_blind([layer.weight.detach().numpy().copy() for layer in layers], 0.7)
    prune.global_unstructured(
        [(layer, "weight") for layer in layers],
        pruning_method=prune.L1Unstructured,
        amount=sum(int((~m).sum()) for m in masks),
    )
    for layer, mask in zip(layers, masks, strict=True):
        np.testing.assert_array_equal(layer.weight_mask.numpy().astype(bool), mask)


def test_permuting_neurons_permutes_the_masks():
    weights, biases = stack(5, 9, 4, seed=4)
    order = np.random.default_rng(0).permutation(9)
    permuted = [weights[0][order], weights[1][:, order]]
    moved = [biases[0][order], biases[1]]
    one = keep_weights(weights, weight_costs(weights, biases), 0.6)
    two = keep_weights(permuted, weight_costs(permuted, moved), 0.6)
    np.testing.assert_array_equal(one[0][order], two[0])
    np.testing.assert_array_equal(one[1][:, order], two[1])


def test_the_last_neuron_of_a_layer_stays():
    weights, biases = stack(3, 4, 50, 2, seed=5)
    costs = [np.zeros(4), np.ones(50)]
    kept = keep_neurons(weights, biases, costs, 0.8)
    assert kept[0].sum() == 1
    assert kept[1].sum() > 1


def test_bad_input():
    weights, biases = stack(3, 4, 2)
    with pytest.raises(ConfigError, match="two or more layers"):
        weight_costs(weights[:1], biases[:1])
    with pytest.raises(
        ConfigError, match=r"layer 2 has weights \(2, 4\) and bias \(2,\), but takes 3"
    ):
        neuron_costs([weights[0][:3], weights[1]], [biases[0][:3], biases[1]])
    with pytest.raises(ConfigError, match="layer 1 has weights that are not finite"):
        weight_costs([np.full_like(weights[0], np.nan), weights[1]], biases)
    for compression in (-0.1, 1.0):
        with pytest.raises(ConfigError, match="at least 0 and below 1"):
            class_blind(weights, compression)
    with pytest.raises(ConfigError, match="fewer parameters than there are biases"):
        class_uniform(weights, 0.9)
    with pytest.raises(ConfigError, match="score is not a number"):
        snip(weights, [np.full_like(w, np.nan) for w in weights], 0.5)
    with pytest.raises(ConfigError, match="one neuron a layer has 8: ask for less"):
        keep_neurons(weights, biases, [np.ones(4)], 0.9)
