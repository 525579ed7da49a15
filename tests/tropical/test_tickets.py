import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import ConfigError, TrainingError
from localbook.tropical import (
    Pruning,
    ReLUNetwork,
    Training,
    accuracy,
    dual_distance,
    dual_polytope,
    initial_network,
    iterative_pruning,
    magnitude_masks,
    masked,
    ticket_trainer,
)
from tests.tropical.networks import random_network

METHODS = ("rewind", "reinit", "finetune")


def shaken(start, masks, number):
    """Stand in for training: random steps of the weights that are left."""
    rng = np.random.default_rng(number)
    moved = [w + m * rng.normal(size=w.shape) for w, m in zip(start.weights, masks, strict=True)]
    return ReLUNetwork(tuple(moved), tuple(b + rng.normal(size=b.shape) for b in start.biases))


def redraw(number):
    return initial_network((3, 5, 2), "he", 100 + number)


def pruned(pruning, seed=0, train=shaken):
    return list(iterative_pruning(random_network(3, 5, 2, seed=seed), train, pruning, redraw))


def clusters(n=120, classes=3):
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    corners = 2 * np.array([[0, 1], [1, -1], [-1, -1]])
    return corners[y] + 0.4 * rng.normal(size=(n, 2)), y


@pytest.mark.parametrize("method", METHODS)
@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    rate=st.floats(0.05, 0.95),
    scope=st.sampled_from(["global", "layer"]),
    seed=st.integers(0, 99),
)
def test_masks_never_grow_and_follow_the_schedule(method, rate, scope, seed):
    rounds = pruned(Pruning(rate, 6, scope, method), seed)
    assert [r.number for r in rounds] == list(range(7))
    assert rounds[0].left == 1
    for before, this in pairwise(rounds):
        for old, new in zip(before.masks, this.masks, strict=True):
            assert not (new & ~old).any()
    for r in rounds:
        left = [int(m.sum()) for m in r.masks]
        if scope == "global":
            assert sum(left) == max(1, round(25 * (1 - rate) ** r.number))
        else:
            assert left[0] == max(1, round(15 * (1 - rate) ** r.number))
            assert left[1] == max(1, round(10 * (1 - rate / 2) ** r.number))


@pytest.mark.parametrize("method", METHODS)
def test_what_a_round_starts_from(method):
    rounds = pruned(Pruning(0.3, 5, "global", method))
    for before, this in pairwise(rounds):
        source = {"rewind": rounds[0].start, "reinit": redraw(this.number),
                  "finetune": before.network}[method]  # fmt: skip
        for weight, origin, mask in zip(
            this.start.weights, source.weights, this.masks, strict=True
        ):
            assert weight[mask].tobytes() == origin[mask].tobytes()
            assert not weight[~mask].any()
        for bias, origin in zip(this.start.biases, source.biases, strict=True):
            assert bias.tobytes() == origin.tobytes()


def test_random_masks_have_as_many_weights_in_each_layer_as_rewinding_in_other_places():
    pruning = Pruning(0.3, 5, "global", "random")
    rewind, random = pruned(Pruning(0.3, 5, "global", "rewind")), pruned(pruning)
    for one, other in zip(rewind, random, strict=True):
        assert [m.sum() for m in one.masks] == [m.sum() for m in other.masks]
        for weight, initial, mask in zip(
            other.start.weights, rewind[0].start.weights, other.masks, strict=True
        ):
            np.testing.assert_array_equal(weight, np.where(mask, initial, 0))
    assert any((a.masks[0] != b.masks[0]).any() for a, b in zip(rewind, random, strict=True))
    again = pruned(pruning)
    assert all((a.masks[0] == b.masks[0]).all() for a, b in zip(random, again, strict=True))


def test_the_control_has_the_masks_of_rewinding():
    rewind, reinit = (pruned(Pruning(0.3, 5, "layer", method)) for method in ("rewind", "reinit"))
    for one, other in zip(rewind, reinit, strict=True):
        for mask, same in zip(one.masks, other.masks, strict=True):
            np.testing.assert_array_equal(mask, same)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 999), st.floats(0.1, 0.9), st.sampled_from(["global", "layer"]))
def test_the_largest_of_those_left_are_kept(seed, rate, scope):
    rng = np.random.default_rng(seed)
    # Few different values: ties and zeros everywhere.
    weights = (rng.integers(-2, 3, (4, 3)), rng.integers(-2, 3, (2, 4)))
    net = ReLUNetwork(weights, (np.zeros(4), np.zeros(2)))
    whole = tuple(np.ones(w.shape, dtype=bool) for w in weights)
    pruning = Pruning(rate, 3, scope)
    before = magnitude_masks(net, whole, pruning, 1)
    after = magnitude_masks(net, before, pruning, 2)
    parts = [slice(0, 2)] if scope == "global" else [slice(0, 1), slice(1, 2)]
    for part in parts:
        ranked = [
            (-abs(w), layer, place)
            for layer, (weight, mask) in enumerate(zip(weights, before, strict=True))
            for place, (w, m) in enumerate(zip(weight.flat, mask.flat, strict=True))
            if m and layer in range(*part.indices(2))
        ]
        kept = {
            (layer, place)
            for layer in range(*part.indices(2))
            for place in np.flatnonzero(after[layer])
        }
        assert kept == {(layer, place) for _, layer, place in sorted(ranked)[: len(kept)]}


def test_trained_tickets_keep_their_zeros_and_learn():
    x, y = clusters()
    train = ticket_trainer(x, y, Training(0.05, 15, 20), 0)
    rounds = list(iterative_pruning(initial_network((2, 12, 3), "he", 0), train, Pruning(0.4, 2)))
    for r in rounds:
        for weight, mask in zip(r.network.weights, r.masks, strict=True):
            assert not weight[~mask].any()
            assert weight[mask].all()
        assert accuracy(r.network, x, y) > 0.95
    dense = dual_polytope(rounds[0].network)
    assert dual_distance(dense, dual_polytope(rounds[0].network)).relative[1] < 1e-12
    assert dual_distance(dense, dual_polytope(rounds[-1].network)).relative[0] > 0.01


def test_training_with_masked_neurons_is_training_without_them():
    x, y = clusters()
    start = initial_network((2, 6, 3), "default", 1)
    some = np.arange(4)
    masks = (np.zeros((6, 2), dtype=bool), np.zeros((3, 6), dtype=bool))
    masks[0][some], masks[1][:, some] = True, True
    small = ReLUNetwork(
        (start.weights[0][some], start.weights[1][:, some]),
        (start.biases[0][some], start.biases[1]),
    )
    train = ticket_trainer(x, y, Training(0.01, 5, 30), 0)
    whole = tuple(np.ones(w.shape, dtype=bool) for w in small.weights)
    large, alone = train(masked(start, masks), masks, 0), train(small, whole, 0)
    np.testing.assert_allclose(large(x), alone(x), atol=1e-4)


def test_training_is_a_function_of_its_seed_and_may_leave_biases_alone():
    x, y = clusters()
    start = initial_network((2, 6, 3), "xavier", 1)
    masks = tuple(np.ones(w.shape, dtype=bool) for w in start.weights)
    nets = [
        ticket_trainer(x, y, Training(0.01, 3, 30, biases=False), seed)(start, masks, 0)
        for seed in (0, 0, 1)
    ]
    assert nets[0].weights[0].tobytes() == nets[1].weights[0].tobytes()
    assert nets[0].weights[0].tobytes() != nets[2].weights[0].tobytes()
    assert not any(b.any() for b in nets[0].biases)


@pytest.mark.parametrize(
    ("name", "variances", "bias"),
    [
        ("default", (1 / 3 / 40, 1 / 3 / 300), True),
        ("xavier", (2 / 340, 2 / 360), False),
        ("he", (2 / 40, 2 / 300), False),
        ("gaussian", (1, 1), False),
    ],
)
def test_initialisations(name, variances, bias):
    net = initial_network((40, 300, 60), name, 3)
    assert [w.shape for w in net.weights] == [(300, 40), (60, 300)]
    for weight, variance in zip(net.weights, variances, strict=True):
        assert weight.var() == pytest.approx(variance, rel=0.05)
        assert np.array_equal(weight.astype(np.float32), weight)
    assert net.biases[0].any() == bias
    assert np.array_equal(net.weights[0], initial_network((40, 300, 60), name, 3).weights[0])
    assert not np.array_equal(net.weights[0], initial_network((40, 300, 60), name, 4).weights[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 0}, "rate=0 must lie between 0 and 1"),
        ({"rate": 1.0}, "rate=1.0 must lie between"),
        ({"rate": float("nan")}, "rate=nan must lie between"),
        ({"rounds": 0}, "rounds=0 must be at least 1"),
        ({"scope": "neuron"}, "scope='neuron' must be one of global, layer"),
        ({"method": "magic"}, "method='magic' must be one of rewind, reinit, finetune"),
    ],
)
def test_prunings_that_make_no_sense(changes, message):
    with pytest.raises(ConfigError, match=message):
        Pruning(**changes)


@pytest.mark.parametrize(("widths", "count"), [((2, 3, 3, 2), 2), ((2, 2), 0)])
def test_one_hidden_layer_only(widths, count):
    with pytest.raises(ConfigError, match=f"has {count} hidden layers"):
        iterative_pruning(random_network(*widths), shaken, Pruning())


def test_fresh_weights_are_needed():
    with pytest.raises(ConfigError, match="pass redraw"):
        iterative_pruning(random_network(2, 3, 2), shaken, Pruning(method="reinit"))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0.0, np.nan]], [0], "NaN or infinite"),
        ([[0.0, np.inf]], [0], "NaN or infinite"),
        ([[0.0, 1.0]], [0, 1], "one label for each"),
        ([0.0, 1.0], [0, 1], "one label for each"),
        (np.zeros((0, 2)), np.zeros(0, dtype=int), "one label for each"),
        ([[0.0, 1.0]], [-1], "whole numbers from 0"),
        ([[0.0, 1.0]], [0.5], "whole numbers from 0"),
    ],
)
def test_points_and_labels_that_make_no_sense(x, y, message):
    with pytest.raises(ConfigError, match=message):
        ticket_trainer(x, y, Training(0.01, 1, 1), 0)


@pytest.mark.parametrize(("x", "y"), [([[0.0, 1.0]], [2]), ([[0.0, 1.0, 2.0]], [0])])
def test_points_and_labels_that_do_not_fit_the_network(x, y):
    train = ticket_trainer(x, y, Training(0.01, 1, 1), 0)
    with pytest.raises(ConfigError, match="do not fit a network of 2 inputs and 2 classes"):
        next(iterative_pruning(random_network(2, 3, 2), train, Pruning()))


@pytest.mark.parametrize("options", [(0.0, 1, 1), (0.1, 0, 1), (0.1, 1, 0)])
def test_trainings_that_make_no_sense(options):
    with pytest.raises(ConfigError, match="must all be positive"):
        Training(*options)


def test_a_loss_that_is_not_a_number():
    train = ticket_trainer([[3e38, 3e38]], [0], Training(0.1, 1, 1), 0)  # overflows
    with pytest.raises(TrainingError, match="round 0: the loss is not a number"):
        next(iterative_pruning(initial_network((2, 40, 2), "gaussian", 0), train, Pruning()))


@pytest.mark.parametrize(
    ("widths", "name", "message"),
    [((2, 3, 2), "zeros", "must be one of default, xavier"), ((2, 0, 2), "he", "each at least 1")],
)
def test_initial_networks_that_make_no_sense(widths, name, message):
    with pytest.raises(ConfigError, match=message):
        initial_network(widths, name, 0)


def test_importing_the_geometry_does_not_import_torch():
    code = "import sys, localbook.tropical; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
