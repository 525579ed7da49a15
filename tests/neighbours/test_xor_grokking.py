"""XOR clusters: the drawn law, the descent beside autograd, and each claim at a small size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2, kstest

from localbook import runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.neighbours import xor_grokking
from localbook.neighbours.xor_grokking import Xor

NAME = "xor-grokking"  # quick: p = 40,000 as in the paper, half of its points, a fifth of m
SMALL = Xor(p=60, n=12, m=9, test=8, eta=0.2, omega=0.1, alpha=0.5, times=(0, 1, 2, 7), seeds=1)


def at(record, t, key):
    return np.array([row[key] for row in record.history if row["t"] == t])


def noise(small, seed):
    splits = xor_grokking.draw(small, seed).values()
    x, cluster = (np.concatenate([getattr(s, k) for s in splits]) for k in ("x", "cluster"))
    x[np.arange(len(x)), cluster // 2] -= small.norm * np.where(cluster % 2, -1, 1)
    return x


def test_what_is_drawn_has_the_law_of_points_in_p_dimensions():
    small = replace(SMALL, p=23)
    ours = [noise(small, seed) for seed in range(400)]
    rng = np.random.default_rng(5)
    plain = [rng.normal(size=(20, 23)) for _ in range(400)]
    for point in (0, 9, 19):
        lengths = [(x[point] ** 2).sum() for x in ours]
        assert kstest(lengths, chi2(23).cdf).pvalue > 0.01
    for see in (
        lambda x: x[3] @ x[17],
        lambda x: np.linalg.eigvalsh(x @ x.T)[0],
        lambda x: np.linalg.eigvalsh(x @ x.T)[-1],
    ):
        assert kstest(list(map(see, ours)), list(map(see, plain))).pvalue > 0.01


def test_clusters_and_flips_are_what_the_setting_says():
    splits = xor_grokking.draw(Xor(), 0)
    train, test = splits["train"], splits["test"]
    assert np.bincount(test.cluster).tolist() == [100] * 4
    assert (test.y == test.clean).all()
    assert 0.005 < (train.y != train.clean).mean() < 0.12
    for cluster, mean in enumerate(np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * Xor().norm):
        assert np.abs(test.x[test.cluster == cluster, :2].mean(axis=0) - mean).max() < 0.5
    assert Xor().norm == pytest.approx(2.5 * np.sqrt(200))


@pytest.mark.parametrize("linear", [False, True])
def test_the_descent_is_that_of_all_weights_in_all_dimensions(linear):
    splits = xor_grokking.draw(SMALL, 1)
    nets = dict(xor_grokking.train(SMALL, splits["train"], 1, linear=linear))
    d = splits["train"].x.shape[1]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(SMALL.p, SMALL.p)))[0]
    beside = np.random.default_rng(1).normal(size=(SMALL.m, SMALL.p - d))
    start = nets[0].w @ turn[:, :d].T + beside @ turn[:, d:].T
    w, a = torch.tensor(start, requires_grad=True), torch.tensor(nets[0].a)
    x, new = (torch.tensor(splits[s].x @ turn[:, :d].T) for s in ("train", "test"))
    y = torch.tensor(splits["train"].y)

    def scores(x):
        return (x @ w.T if linear else torch.relu(x @ w.T)) @ a

    for t in range(8):
        if t in nets:
            assert np.allclose(nets[t].scores(splits["test"].x), scores(new).detach(), atol=1e-9)
        loss = torch.nn.functional.softplus(-y * scores(x)).mean()
        w.data -= SMALL.alpha * torch.autograd.grad(loss, w)[0]
    assert np.abs(nets[7].w - nets[0].w).max() > 0.01


def test_odd_and_even_parts_add_up_and_the_odd_one_is_linear():
    points = xor_grokking.draw(SMALL, 2)["train"]
    for _, net in xor_grokking.train(SMALL, points, 2):
        odd, even = net.parts(points.x)
        assert np.allclose(net.scores(points.x), odd + even)
        assert np.allclose(net.scores(-points.x), even - odd)
        assert np.allclose(odd, points.x @ (net.a @ net.w) / 2)


def test_on_the_plane_of_the_means_the_boundary_is_where_f_changes_sign():
    quick = setting(NAME, "quick")
    points = xor_grokking.draw(quick, 0)["train"]
    for t, net in xor_grokking.train(quick, points, 0):
        plane = net.on_means()
        u = np.random.default_rng(t).normal(size=(50, 2))
        padded = np.pad(u, ((0, 0), (0, net.w.shape[1] - 2)))
        assert np.allclose(plane(u)[:, 0], net.scores(padded), rtol=1e-9, atol=0)
        ends = tropical.decision_boundary(plane, ((-1, 1), (-1, 1))).segments.reshape(-1, 2)
        found = np.unique(np.round(np.arctan2(*ends[np.abs(ends).max(axis=1) > 0.9].T[::-1]), 6))
        turns = np.linspace(-np.pi, np.pi, 7919)
        signs = plane(np.stack([np.cos(turns), np.sin(turns)], axis=1))[:, 0] > 0
        expected = turns[:-1][signs[:-1] != signs[1:]]
        assert len(found) == len(expected)
        assert np.abs(found - expected).max() < 1e-3


def test_after_one_step_all_labels_are_fitted_by_what_is_nearly_a_linear_classifier(records):
    relu = records["relu"]
    assert (at(relu, 1, "train") == 1).all()
    assert (at(relu, 1, "linear") > 0.99).all()
    assert np.abs(at(relu, 1, "test") - 0.5).max() < 0.1


def test_later_it_generalises_and_still_fits_flipped_labels(records):
    relu = records["relu"]
    assert (at(relu, 15, "flipped")[at(relu, 15, "flipped") != np.array(None)] == 1).all()
    assert at(relu, 15, "test").mean() > 0.8


def test_what_is_wrong_is_the_linear_part(records):
    assert at(records["relu"], 2, "symmetric").min() > 0.99
    assert at(records["relu"], 2, "test").mean() < 0.95


def test_neurons_forget_the_other_mean(records):
    assert np.abs(at(records["relu"], 1, "aligned") - 1).max() < 0.3
    assert at(records["relu"], 15, "aligned").min() > 2


def test_the_controls_do_not_generalise(records):
    assert np.abs(at(records["linear"], 15, "test") - 0.5).max() < 0.1
    assert (at(records["linear"], 15, "even") == 0).all()
    for name in ("weak-means", "large-init"):
        assert at(records[name], 15, "test").mean() < at(records["relu"], 15, "test").mean()
    assert at(records["weak-means"], 1, "train").min() == 1
    assert at(records["large-init"], 1, "train").max() < 1


def test_runs_repeat(records, tmp_path):
    again = runs.read(run(NAME, methods=["large-init"], out=tmp_path)[0])
    assert again.history == records["large-init"].history


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"p": 600}, "p of at least n"),
        ({"test": 3}, "four test points"),
        ({"m": 0}, "one neuron"),
        ({"eta": 0.5}, "eta=0.5"),
        ({"alpha": 0.0}, "above zero"),
        ({"times": (1, 1)}, "rising"),
        ({"times": ()}, "times="),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        replace(Xor(), **change)
