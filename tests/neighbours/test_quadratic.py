"""Quadratic neurons: their formula and start, ranks by other ways, conics beside a fine grid."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import nn

from localbook import runs, tropical
from localbook.errors import ConfigError, GeometryError
from localbook.experiments import run, setting
from localbook.fit import fit
from localbook.neighbours import quadratic

BOX = ((-2.0, 2.0), (-1.5, 2.5))
SGD = partial(torch.optim.SGD, momentum=0.9)


def net_of(r, g, b, output, constant):
    """A network (2, m, 1) from rows (bias, weights)."""
    net = quadratic.network((2, len(r), 1), 0, start="relinear").double()
    with torch.no_grad():
        for layer, rows in zip((net[0].r, net[0].g, net[0].b), (r, g, b), strict=True):
            rows = torch.as_tensor(np.array(rows, dtype=float))
            layer.bias.copy_(rows[:, 0])
            layer.weight.copy_(rows[:, 1:])
        net[2].weight.copy_(torch.as_tensor(np.array([output], dtype=float)))
        net[2].bias.fill_(constant)
    return net


def random_net(seed, m=4):
    rng = np.random.default_rng(seed)
    return net_of(*rng.normal(size=(3, m, 3)), rng.normal(size=m), rng.normal())


def area(polygon):
    x, y = polygon.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def grid(net, n):
    """Points inside the box (n, n, 2), and which neurons are on there (n, n, m)."""
    axes = [low + (np.arange(n) + 0.417) / n * (high - low) for low, high in BOX]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return x, (net[0](torch.tensor(x)) > 0).numpy()


def test_a_neuron_is_the_formula_and_one_of_them_is_xor():
    layer = quadratic.network((5, 4, 1), 3, start="random").double()[0]
    x = torch.randn(7, 5, dtype=torch.float64)
    with torch.no_grad():
        layer.b.bias.normal_()
        layer.g.bias.normal_()
        for k in range(4):
            W = [[p.weight[k].numpy(), p.bias[k].item()] for p in (layer.r, layer.g, layer.b)]
            (w, b), (v, d), (u, c) = W
            by_hand = [(w @ z + b) * (v @ z + d) + u @ (z * z) + c for z in x.numpy()]
            assert np.allclose(layer(x)[:, k], by_hand)
    xor = net_of([[0, 1, 0]], [[0, 0, 1]], [[0, 0, 0]], [1], -0.5)
    corners = torch.tensor([[1, 1], [-1, -1], [1, -1], [-1, 1]], dtype=torch.float64)
    assert (xor(corners)[:, 0] > 0).tolist() == [True, True, False, False]


def samples():
    x = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] * x[:, 1] > 0).long()


@pytest.mark.parametrize("norm", [False, True])
def test_at_gamma_zero_training_is_that_of_the_conventional_network_to_the_last_digit(norm):
    conventional, relinear = (
        quadratic.network((6, 8, 8, 2), 5, start=s, norm=norm) for s in ("conventional", "relinear")
    )
    for net in (conventional, relinear):
        descent = quadratic.shrink_gradients(net, 0.0, SGD)
        fit(net, *samples(), epochs=5, batch_size=32, lr=0.05, seed=1, optimiser=descent)
    assert torch.equal(conventional(samples()[0]), relinear(samples()[0]))
    free = quadratic.network((6, 8, 8, 2), 5, start="relinear", norm=norm)
    fit(free, *samples(), epochs=5, batch_size=32, lr=0.05, seed=1, optimiser=SGD)
    assert not torch.equal(conventional(samples()[0]), free(samples()[0]))


def test_gamma_scales_the_steps_of_the_quadratic_part_and_beta_draws_it_back():
    moved = []
    for gamma in (1.0, 0.01):
        net = quadratic.network((6, 8, 2), 2, start="relinear")
        before = [weight.detach().clone() for weight in net.parameters()]
        descent = quadratic.shrink_gradients(net, gamma, SGD)
        fit(net, *samples(), steps=1, batch_size=96, lr=0.1, seed=0, optimiser=descent)
        after = zip(net.named_parameters(), before, strict=True)
        moved.append({name: (now - then).detach() for (name, now), then in after})
    for name, step in moved[0].items():
        share = 0.01 if name.startswith(("0.g", "0.b")) else 1.0
        assert torch.allclose(share * step, moved[1][name], atol=2e-7), name
        assert step.abs().max() > 1e-4
    with torch.no_grad():
        draw = quadratic.shrink_weights(net, 0.1)
        net[0].g.bias.fill_(3)
        net[0].b.weight.fill_(1)
        for step in range(200):
            draw(step)
    assert torch.allclose(net[0].g.bias, torch.ones(8))
    assert net[0].b.weight.abs().max() < 1e-6


@pytest.mark.parametrize("n", [1, 2, 4, 5])
@pytest.mark.parametrize("h", [1, 2, 3, 7])
def test_with_one_hidden_layer_the_dimension_is_that_of_matrices_of_bounded_rank(n, h):
    """Symmetric N x N matrices of rank at most k fill kN - k(k - 1)/2 dimensions."""
    N = n + 1
    most = N * (N + 1) // 2

    def bounded(k):
        k = min(k, N)
        return k * N - k * (k - 1) // 2

    squares, count = quadratic.dimension((n, h, 1), quadratic=False)
    assert (squares, count) == (min(bounded(h) + 1, most), h * N + h + 1)
    full, count = quadratic.dimension((n, h, 1), quadratic=True)
    assert (full, count) == (min(bounded(2 * h) + N, most), 3 * h * N + h + 1)


@pytest.mark.parametrize("widths", [(2, 2, 2, 1), (3, 2, 2, 1), (2, 4, 4, 1)])
@pytest.mark.parametrize("is_quadratic", [False, True])
def test_with_two_it_is_the_numerical_rank_of_autograds_jacobian(widths, is_quadratic):
    start = "random" if is_quadratic else "conventional"
    net = quadratic.network(widths, 0, start=start).double()
    maps = [layer for layer in net if not isinstance(layer, nn.ReLU)]
    generator = torch.Generator().manual_seed(1)
    for weight in net.parameters():
        nn.init.normal_(weight, generator=generator)

    def f(x):
        for layer in maps[:-1]:
            x = layer(x) if is_quadratic else layer(x) ** 2
        return maps[-1](x).squeeze()

    rows = []
    for x in torch.randn(120, widths[0], generator=torch.Generator().manual_seed(7)).double():
        gradient = torch.autograd.grad(f(x), list(net.parameters()))
        rows.append(torch.cat([part.flatten() for part in gradient]))
    J = torch.stack(rows)
    values = torch.linalg.svdvals(J / J.norm(dim=1, keepdim=True) / J.norm(dim=0))
    found, count = quadratic.dimension(widths, quadratic=is_quadratic)
    assert count == J.shape[1]
    assert found == int((values > 1e-10 * values[0]).sum())


def test_the_same_structure_expresses_at_least_as_much():
    for widths in ((2, 1, 1), (4, 2, 1), (3, 2, 2, 1), (2, 3, 3, 1)):
        one, other = (quadratic.dimension(widths, quadratic=q)[0] for q in (False, True))
        assert one <= other


@pytest.mark.parametrize("seed", range(6))
def test_pieces_are_those_that_a_fine_grid_sees(seed):
    net = random_net(seed)
    found = quadratic.conic_pieces(net, BOX, corners=200)
    x, on = grid(net, 500)
    code = on @ (1 << np.arange(4))
    seen = []
    for value in np.unique(code):
        label, count = ndimage.label(code == value)
        seen += ndimage.sum(code == value, label, range(1, count + 1)).tolist()
    areas = np.bincount(found.piece, [area(p) for p in found.polygons])
    assert areas.sum() == pytest.approx(16, rel=1e-7)
    cell = 16 / 500**2
    large = sorted(areas[areas > 20 * cell])
    assert np.allclose(large, sorted(s * cell for s in seen if s > 20)[-len(large) :], atol=0.02)
    f = net(torch.tensor(found.boundary)).detach().numpy()
    assert np.abs(f).max(initial=0) < 1e-6
    positive = net(torch.tensor(x))[..., 0].detach().numpy() > 0
    crossings = x[:-1][positive[1:] != positive[:-1]]
    assert bool(len(crossings)) == bool(len(f))
    along = np.linspace(*found.boundary.swapaxes(0, 1), 9).reshape(-1, 2)
    near = cKDTree(np.vstack([along, [[99, 99]]])).query(crossings)[0]
    assert near.max(initial=0) < 0.05
    folds = net[0](torch.tensor(found.folds)).detach().abs().min(dim=-1).values
    assert folds.max() < 1e-6


@settings(deadline=None, derandomize=True, max_examples=30)
@given(hnp.arrays(np.int64, (3, 3, 3), elements=st.integers(-1, 1)))
def test_on_double_parallel_and_vanishing_conics_each_pattern_has_its_area(rows):
    net = net_of(*rows, [1, -1, 1], 0.3)
    found = quadratic.conic_pieces(net, BOX, corners=100)
    _, on = grid(net, 200)
    weight = 1 << np.arange(3)
    by_grid = np.bincount((on @ weight).ravel(), minlength=8) * 16 / 200**2
    areas = [area(p) for p in found.polygons]
    assert np.abs(np.bincount(found.patterns @ weight, areas, minlength=8) - by_grid).max() < 0.15
    for k in range(len(found)):
        assert len(np.unique(found.patterns[found.piece == k], axis=0)) == 1


def test_an_ellipse_is_one_piece_of_its_area_and_crossing_lines_make_four():
    ellipse = net_of([[0, 0, 0]], [[0, 0, 0]], [[1, -1, -4]], [1], -0.5)
    found = quadratic.conic_pieces(ellipse, BOX, corners=400)
    areas = np.bincount(found.piece, [area(p) for p in found.polygons])
    assert len(found) == 2
    assert areas.min() == pytest.approx(np.pi / 2, rel=1e-3)
    inner = np.linalg.norm(found.boundary * [1, 2], axis=-1)
    assert np.allclose(inner, np.sqrt(0.5))
    lines = net_of([[0, 1, 1]], [[0, 1, -1]], [[0, 0, 0]], [1], 1)
    assert len(quadratic.conic_pieces(lines, BOX)) == 4
    twice = net_of([[0, 1, 1]], [[0, -1, -1]], [[0, 0, 0]], [1], 1)
    assert len(quadratic.conic_pieces(twice, BOX)) == 1  # the neuron is never on


@pytest.mark.parametrize("seed", range(3))
def test_at_the_linear_start_pieces_are_the_linear_regions(seed):
    net = random_net(seed, m=6)
    with torch.no_grad():
        for weight, rest in zip(net[0].quadratic_part(), (0, 1, 0, 0), strict=True):
            weight.fill_(rest)
    plain = nn.Sequential(net[0].r, nn.ReLU(), net[2])
    regions = tropical.linear_regions(plain, BOX)
    found = quadratic.conic_pieces(net, BOX)
    assert len(found) == len(regions)
    areas = np.bincount(found.piece, [area(p) for p in found.polygons])
    assert np.allclose(np.sort(areas), np.sort(regions.areas), atol=1e-6)
    two = nn.Sequential(net[0].r, nn.ReLU(), nn.Linear(6, 2).double())
    with torch.no_grad():
        for weight, one in zip(two[2].parameters(), net[2].parameters(), strict=True):
            weight.zero_()
            weight[0] = one[0]
    lengths = [
        np.linalg.norm(np.diff(ends, axis=1), axis=2).sum()
        for ends in (found.boundary, tropical.decision_boundary(two, BOX).segments)
    ]
    assert lengths[0] == pytest.approx(lengths[1], abs=1e-5)


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="give hidden widths, and conventional or relinear"):
        quadratic.network((2, 3, 1), 0, start="linear")
    with pytest.raises(ConfigError, match="give hidden widths"):
        quadratic.network((2, 1), 0, start="random")
    net = random_net(0)
    with pytest.raises(ConfigError, match="give a share of the rate"):
        quadratic.shrink_gradients(net, -0.1, SGD)
    with pytest.raises(ConfigError, match="give a share between 0 and 1"):
        quadratic.shrink_weights(net, 2.0)
    with pytest.raises(ConfigError, match="and 1, the output"):
        quadratic.dimension((2, 3, 2), quadratic=True)
    with pytest.raises(GeometryError, match="quadratic neurons, ReLU and a linear layer"):
        quadratic.conic_pieces(quadratic.network((2, 3, 3, 1), 0, start="random"), BOX)
    for widths in ((3, 2, 1), (2, 2, 2)):
        with pytest.raises(GeometryError, match="two inputs and one output"):
            quadratic.conic_pieces(quadratic.network(widths, 0, start="random"), BOX)
    with pytest.raises(GeometryError, match="give one with an area"):
        quadratic.conic_pieces(quadratic.network((2, 2, 1), 0, start="random"), ((0, 0), (0, 1)))


NAME = "quadratic"
OWN = replace(setting(NAME, "quick"), seeds=1, depths=(2, 6), epochs=20, rates=(0.03,))


def test_a_random_start_collapses_at_depth_and_the_linear_one_trains(records):
    finite = {name: [row["finite"] for row in r.history] for name, r in records.items()}
    assert not finite["random"][-1]
    assert all(finite["relinear-0"])
    accuracy = {name: [row["test_accuracy"] for row in r.history] for name, r in records.items()}
    assert accuracy["relinear-0"] == accuracy["conventional"]
    assert accuracy["random"][-1] < 0.3 < accuracy["relinear-0"][-1]


def test_the_experiments_run_twice_to_equal_records(records, tmp_path):
    again = runs.read(run("quadratic", setting=OWN, methods=["relinear-0.1"], out=tmp_path)[0])
    assert again.history == records["relinear-0.1"].history
    once, twice = (
        [runs.read(p).history for p in run("quadratic-circle", out=tmp_path / name)]
        for name in "ab"
    )
    assert once == twice
    assert all(row["pieces"] >= 1 for history in once for row in history)
