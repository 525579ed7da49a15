"""Shapes of residual networks: what they compute, count and cost, and what their frontiers say."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from localbook import data, runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.neighbours import hourglass
from localbook.neighbours.hourglass import Shape

NAME, METHOD = "hourglass", "hourglass-fixed"
LIFTED = {"lift": "trained", "out": True}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [Shape(6, 9, 2), Shape(11, 3, 2, **LIFTED)])
def test_a_network_is_the_papers_formula(shape):
    net = hourglass.network(6, shape, 0).double()
    x = torch.rand(40, 6, generator=generator(), dtype=torch.float64)
    weights = [w.detach().numpy() for w in net.parameters()]
    h = x.numpy()
    if shape.lift != "none":
        h = h @ weights[0].T
    inner = weights[1:-1] if shape.out else weights
    for w1, w2 in zip(inner[::2], inner[1::2], strict=True):
        normed = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)
        h = h + np.maximum(normed @ w1.T, 0) @ w2.T
    h = h @ weights[-1].T if shape.out else h
    with torch.no_grad():
        found = net.train()(x).numpy()
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-h)), atol=1e-12)


@given(
    st.integers(4, 6),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from(["orthogonal", "random", "trained"]),
)
def test_parameters_are_torchs(skip, hidden, depth, lift):
    shape = Shape(skip, hidden, depth, lift, out=True)
    net = hourglass.network(4, shape, 0)
    counts = [(w.numel(), w.requires_grad) for w in net.parameters()]
    assert shape.parameters(4) == (sum(n for n, g in counts if g), sum(n for n, _ in counts))
    plain = Shape(4, hidden, depth)
    assert plain.parameters(4)[0] == 2 * 4 * plain.neurons
    assert plain.parameters(4) == Shape(4, hidden * depth, 1).parameters(4)  # depth costs nothing


def test_parameters_are_those_of_the_authors_file_names():
    one = Shape(785, 115, 1, **LIFTED)
    assert one.parameters(784) == (1_411_430, 1_411_430)
    assert Shape(784, 1150, 1).parameters(784)[0] == 1_803_200
    fixed = Shape(4096, 240, 4, "random", out=True)
    assert fixed.parameters(784)[0] == 11_075_584
    assert str(fixed) == "4096-240-4"


def test_only_a_trained_lift_moves():
    x = torch.rand(64, 4, generator=generator())
    for lift in ("orthogonal", "random", "trained"):
        net = hourglass.network(4, Shape(6, 3, 1, lift, out=True), 1)
        before = net[0].weight.clone()
        hourglass.train(net, x, x, steps=5, batch_size=16, lr=0.01, seed=0)
        assert torch.equal(before, net[0].weight) == (lift != "trained")


def test_an_orthogonal_lift_keeps_angles_and_is_as_long_as_a_random_one():
    W = hourglass.network(16, Shape(40, 2, 1, "orthogonal", out=True), 0)[0].weight
    torch.testing.assert_close(W.T @ W, 40 / 48 * torch.eye(16), atol=1e-5, rtol=0)
    lengths = [
        hourglass.network(16, Shape(40, 2, 1, "random", out=True), s)[0].weight.square().sum()
        for s in range(50)
    ]
    assert float(torch.stack(lengths).mean()) == pytest.approx(float(W.square().sum()), rel=0.02)


def test_noise_is_fresh_in_training_absent_in_evaluation_and_cut_off():
    x = torch.full((50, 3), 0.9)
    net = hourglass.Noisy(torch.nn.Identity(), 0.5, 0)
    first, second = net(x), net(x)
    assert not torch.equal(first, second)
    assert torch.equal(net.eval()(x), x)
    assert first.min() >= 0
    assert (first == 1).double().mean() > 0.3
    assert torch.equal(hourglass.Noisy(torch.nn.Identity(), 0.5, 0)(x), first)


def test_prototypes_are_images_of_their_classes():
    labels = torch.tensor([2, 0, 1, 1, 2, 0, 2])
    x = labels[:, None] + torch.arange(7)[:, None] / 10
    for seed in range(5):
        assert hourglass.prototypes(x, labels, seed).floor().flatten().tolist() == [0, 1, 2]


def test_training_ends_at_rate_zero_and_is_seeded():
    x = torch.rand(96, 5, generator=generator())
    nets = [hourglass.network(5, Shape(5, 8, 1), 3) for _ in range(2)]
    options = {"steps": 40, "batch_size": 32, "lr": 0.02, "seed": 1, "sigma": 0.1}
    one, other = (hourglass.train(net, x, x, **options) for net in nets)
    assert torch.equal(one(x), other(x))
    start = hourglass.network(5, Shape(5, 8, 1), 3).eval()
    gains = [hourglass.psnr(net(x).detach(), x) for net in (start, one)]
    assert gains[1] > gains[0] + 3


def test_baselines_against_scikit_learn_and_by_hand():
    rng = np.random.default_rng(0)
    x, new = (torch.tensor(rng.random((n, 4))) for n in (60, 9))
    y = torch.tensor(rng.random((60, 3)))
    expected = LinearRegression().fit(x, y).predict(new).clip(0, 1)
    np.testing.assert_allclose(hourglass.least_squares(x, y, new), expected, atol=1e-10)
    assert hourglass.psnr(np.zeros((3, 2)), np.full((3, 2), 0.1)) == pytest.approx(20)


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9)


@given(points)
def test_the_frontier_is_what_nothing_is_as_small_and_as_good_as(some):
    sizes, values = zip(*some, strict=True)
    found = [some[i] for i in hourglass.frontier(sizes, values)]
    best = {
        (s, v)
        for s, v in some
        if not any((a <= s and b >= v) and (a, b) != (s, v) for a, b in some)
    }
    assert found == sorted(best)


def test_champions_are_chosen_by_validation_within_the_budget():
    rows = [
        {"trainable": 5, "all": 9, "val_psnr": 20.0, "test_psnr": 1.0},
        {"trainable": 8, "all": 8, "val_psnr": 21.0, "test_psnr": 0.0},
    ]
    assert hourglass.champion(rows, 8) is rows[1]
    assert hourglass.champion(rows, 7) is rows[0]
    assert hourglass.champion(rows, 8, "all") is rows[1]
    assert hourglass.champion(rows, 4) is None


def best(task, kind, budget):
    return max((v for s, v in hourglass.OFFICIAL[task][kind] if s <= budget), default=-np.inf)


def test_the_authors_own_frontiers_cross():
    for kinds in hourglass.OFFICIAL.values():
        for frontier in kinds.values():
            assert [frontier[i] for i in hourglass.frontier(*zip(*frontier, strict=True))] == list(
                frontier
            )
    assert best("denoising", "conventional", 1.42) > best("denoising", "hourglass", 1.52)
    assert best("denoising", "conventional", 9) > best("denoising", "hourglass", np.inf)
    assert best("denoising", "conventional", 2.4) < best("denoising", "hourglass", 2.4)
    assert best("prototypes", "conventional", np.inf) < best("prototypes", "hourglass", 1.5)
    assert best("prototypes", "conventional, W", 7.4) > best("prototypes", "hourglass", np.inf)


def test_one_block_cuts_a_plane_into_the_regions_of_its_lines():
    net = hourglass.network(4, Shape(4, 6, 1), 2).eval()
    plane = tropical.plane_through(*np.random.default_rng(0).random((3, 4)))
    box = ((-3, 3), (-3, 3))
    found = tropical.linear_regions(plane.restrict(tropical.from_torch(net[:-1])), box)
    w = net[0].inner.weight.detach().double().numpy() / np.sqrt(1 + 1e-5)
    lines = np.c_[w @ plane.axes.T, w @ plane.origin]
    crossings = 0
    for a, b in itertools.combinations(lines, 2):
        point = np.linalg.solve([a[:2], b[:2]], [-a[2], -b[2]])
        crossings += bool((np.abs(point) < 3).all())
    corners = np.array([[x, y, 1] for x in (-3, 3) for y in (-3, 3)])
    inside = sum(np.ptp(np.sign(corners @ line)) > 0 for line in lines)
    assert len(found) == 1 + inside + crossings


def test_at_the_smallest_size_a_conventional_network_denoises_better():
    x, new = (
        torch.from_numpy(data.load("digits", split).images).float().flatten(1) / 255
        for split in ("train", "test")
    )
    seen = hourglass.noisy(new, 0.25, generator(9))
    options = {"steps": 150, "batch_size": 128, "lr": 0.02, "seed": 0, "sigma": 0.25}
    found = []
    for shape in (Shape(64, 64, 1), Shape(65, 4, 1, **LIFTED)):
        net = hourglass.train(hourglass.network(64, shape, 0), x, x, **options)
        found.append(hourglass.psnr(net(seen).detach(), new))
    assert found[0] > found[1] + 0.1 > hourglass.psnr(seen, new)


def test_quick_runs_are_equal_twice_and_count_what_they_say(tmp_path):
    first = {r.method: r for r in map(runs.read, run(NAME, out=tmp_path / "a", seeds=1))}
    (again,) = map(runs.read, run(NAME, out=tmp_path / "b", seeds=1, methods=[METHOD]))
    assert again.history == first[METHOD].history
    rows = first[METHOD].history
    assert {(r["trainable"], r["all"]) for r in rows} == {(8710, 12870)}
    assert first["conventional"].history[0]["trainable"] == 8192
    assert all(0 <= r["accuracy"] <= 1 for r in rows if r["task"] == "prototypes")
    linear = [r["linear"] for r in first["baselines"].history if r["task"] == "denoising"]
    assert min(linear) > 15


def test_bad_input_is_refused_in_one_sentence():
    for shape in (Shape(5, 4, 1), Shape(9, 4, 1), Shape(9, 4, 1, "trained")):
        with pytest.raises(ConfigError, match="needs a lift and out to be wider"):
            hourglass.network(8, shape, 0)
    with pytest.raises(ConfigError, match="lift is one of none, orthogonal"):
        hourglass.network(8, Shape(8, 4, 1, "identity"), 0)
    with pytest.raises(ConfigError, match="positive"):
        hourglass.network(8, Shape(8, 0, 1), 0)
