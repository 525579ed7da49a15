"""Hidden layers: the clusters, the descent beside a theorem, the claims."""

import numpy as np
import pytest
import torch

from localbook import local, runs
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.neighbours import representational_geometry as geometry

NAME = "representational-geometry"
QUICK = setting(NAME, "quick")
CLEAN = geometry.Setting(QUICK.tasks, 1, inputs=20, each=1, noise=0.0)


def rows(record, target):
    """What every seed has at the first loss."""
    return [
        row for row in record.history if (row["target"], row["loss"]) == (target, QUICK.losses[0])
    ]


def tensors(clusters, structure=0.0, target="bit"):
    t = geometry.targets(clusters.bits, target)[clusters.cluster]
    return (torch.tensor(a, dtype=torch.float32) for a in (clusters.points(structure), t))


def test_centres_have_the_inner_products_of_their_structure():
    clusters = geometry.draw(CLEAN, 0)["test"]
    for s in (0.0, 0.3, 1.0):
        c = clusters.centres(s)
        expected = (1 - s) * np.eye(8) + s / 3 * clusters.bits @ clusters.bits.T
        assert np.allclose(c @ c.T, expected)
        T = geometry.targets(clusters.bits, "xor")
        (found,) = local.linear_cka([torch.tensor(c)], [torch.tensor(T)])
        kernel = (1 - s) * np.eye(8) + s / 3 * clusters.bits @ clusters.bits.T - (1 - s) / 8
        assert found == pytest.approx(8 * (1 - s) / 8 / np.linalg.norm(kernel))


def test_points_lie_around_their_centres_and_splits_differ_by_noise_only():
    splits = geometry.draw(QUICK, 1)
    train, test = splits["train"], splits["test"]
    assert np.allclose(train.centres(0.5), test.centres(0.5))
    assert not np.allclose(train.noise, test.noise)
    away = train.points(0.5) - np.repeat(train.centres(0.5), QUICK.each, axis=0)
    assert np.square(away).sum(1).mean() == pytest.approx(QUICK.noise**2, rel=0.1)


@pytest.mark.parametrize(
    ("activation", "kernel"),
    [
        ("relu", lambda y: np.eye(8) / 4 + (1 + np.outer(y, y)) / 8),
        ("clamp", lambda y: np.eye(8) / 4 + (1 + np.outer(y, y)) / 8),
        ("softplus", lambda y: np.outer(y, y)),
        ("tanh", lambda y: np.outer(y, y)),
    ],
)
def test_from_a_small_start_a_flat_half_remembers_and_nothing_else_does(activation, kernel):
    """Without noise, biases and a trained read-out, by gradient descent, as the theorem has it."""
    x, t = tensors(geometry.draw(CLEAN, 0)["test"])
    y = t.double()
    net = geometry.network((20, 1000, 1), activation, gain=0.02, seed=0)

    def look():
        with torch.no_grad():
            return {"cka": local.linear_cka([net[:2](x)], [y, x])[0].tolist()}

    found = geometry.looks(
        net, x, t, look, losses=[0.4], every=5, steps=150, batch_size=8, lr=1.0, seed=0,
        optimiser=torch.optim.SGD, parameters=[net[0].weight],
    )  # fmt: skip
    features = torch.tensor(np.linalg.cholesky(kernel(y[:, 0].numpy()) + 1e-9 * np.eye(8)))
    (expected,) = local.linear_cka([features], [y, x])
    assert found[-1]["cka"] == pytest.approx(expected.tolist(), abs=0.02)


def test_its_measures_are_those_of_the_part_below():
    for name in ("parallelism", "ccgp", "inherited"):
        assert getattr(geometry, name) is getattr(local, name)


def test_an_odd_layer_without_biases_cannot_hold_an_even_target():
    test = geometry.draw(CLEAN, 3)["test"]
    net = geometry.network((20, 100, 1), "tanh", gain=3.0, seed=0)
    assert geometry.geometry(net, test, "xor", 1.0)["with_target"] == pytest.approx(0, abs=1e-4)


def test_losses_are_reached_in_order_and_what_is_not_reached_has_no_row():
    test = geometry.draw(CLEAN, 0)["test"]
    x, t = tensors(test, 1.0, "xor")
    for activation, reached in (("relu", [None, 0.5, 0.1]), ("linear", [None])):
        net = geometry.network((20, 50, 1), activation, seed=0)
        found = geometry.looks(
            net, x, t, dict, losses=(0.5, 0.1), every=1, steps=150, batch_size=8, lr=0.01, seed=0
        )
        assert [row["loss"] for row in found] == reached
        assert [row["step"] for row in found] == sorted(row["step"] for row in found)


def test_tanh_takes_over_the_targets_and_relu_keeps_inputs(records):
    for tanh, relu in zip(rows(records["tanh"], "bit"), rows(records["relu"], "bit"), strict=True):
        assert tanh["with_target"] > relu["with_target"]
        assert tanh["with_input"] < relu["with_input"] - 0.1
        assert tanh["parallelism"] > relu["parallelism"] + 0.1
        assert tanh["inherited"] > relu["inherited"] + 0.1


def test_on_xor_of_linear_inputs_it_is_reversed(records):
    for tanh, relu in zip(rows(records["tanh"], "xor"), rows(records["relu"], "xor"), strict=True):
        assert tanh["with_target"] < relu["with_target"] - 0.3


def test_what_saturates_on_both_sides_and_is_flat_at_the_origin_is_like_relu(records):
    for clamp, relu in zip(
        rows(records["clamp"], "bit"), rows(records["relu"], "bit"), strict=True
    ):
        assert clamp["with_input"] == pytest.approx(relu["with_input"], abs=0.02)
    assert not rows(records["linear"], "xor")


@pytest.mark.parametrize(("name", "layers"), [("digits", 1), ("photographs", 2)])
def test_experiments_on_images_run_twice_to_equal_records(name, layers, tmp_path):
    how = {"seeds": 1, "methods": ["relu"]}
    (one,), (other,) = (
        map(runs.read, run(f"{NAME}-{name}", out=tmp_path / part, **how)) for part in "ab"
    )
    assert one.history == other.history
    for row in one.history:
        assert len(row["with_target"]) == len(row["with_input"]) == layers
        assert max(*row["with_target"], *row["with_input"]) <= 1


def test_bad_input_is_refused_in_one_sentence():
    bits = geometry.draw(CLEAN, 0)["test"].bits
    with pytest.raises(ConfigError, match="unknown activation 'sine'; choose of tanh"):
        geometry.network((3, 4, 1), "sine", seed=0)
    with pytest.raises(ConfigError, match="unknown target 'parity'; choose of bit"):
        geometry.targets(bits, "parity")
    with pytest.raises(ConfigError, match="at least 11 inputs"):
        geometry.Setting(QUICK.tasks, 1, inputs=8)
    with pytest.raises(ConfigError, match=r"structure in \[0, 1\]"):
        geometry.Setting((("bit", 2.0, 1.0),), 1)
