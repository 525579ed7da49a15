"""Residual layers in sequence and in parallel: the expansion, its bounds, folds, and isolation."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from localbook import local, runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.neighbours import shallow_again as shallow

KINDS = {"3 x 3": {"kernel": 3}, "1 x 1": {"kernel": 1}, "dense": {"kernel": None}}
SIZE = {"depth": 3, "width": 4, "seed": 0}


def net(layout, kind="dense", **options):
    return shallow.network((1, 6, 6), 5, layout, **SIZE | KINDS[kind] | options).double()


def images(n=7, side=6):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(1)).double()


def dense(depth, width, scale, seed, *, relu=True, bias=True):
    torch.manual_seed(seed)
    made = [nn.Linear(width, width, bias, dtype=torch.float64) for _ in range(depth)]
    for layer in made:
        layer.weight.data *= scale
    return [nn.Sequential(layer, *[nn.ReLU()] * relu) for layer in made]


def kept(layers, x, some):
    for k in some:
        x = x + layers[k](x)
    return x


def by_sets(layers, x):
    """The terms, set by set."""
    D = len(layers)
    terms = torch.zeros(D + 1, *x.shape, dtype=x.dtype)
    for q in range(D + 1):
        for S in combinations(range(D), q):
            for j in range(q + 1):
                for R in combinations(S, j):
                    terms[q] += (-1) ** (q - j) * kept(layers, x, R)
    return terms.detach()


cases = given(st.integers(1, 5), st.integers(1, 4), st.floats(0, 2), st.integers(0, 99))


@settings(deadline=None, max_examples=25)
@cases
def test_orders_are_sums_over_sets_and_the_first_is_the_parallel_layout(D, width, scale, seed):
    layers = dense(D, width, scale, seed)
    x = torch.randn(5, width, dtype=torch.float64)
    terms = shallow.expansion(layers, x)
    assert torch.allclose(terms, by_sets(layers, x), atol=1e-9)
    for layout, upto in (("sequential", D), ("parallel", 1)):
        h = shallow.Stack(layers, layout)(x)
        assert torch.allclose(terms[: upto + 1].sum(0), h, atol=1e-9)


@settings(deadline=None, max_examples=25)
@cases
def test_of_linear_layers_it_is_the_expanded_product_within_its_bounds(D, width, scale, seed):
    layers = dense(D, width, scale, seed, relu=False, bias=False)
    x = torch.randn(5, width, dtype=torch.float64)
    A = [layer[0].weight.detach() for layer in layers]
    terms, e = shallow.expansion(layers, x), shallow.bounds([np.linalg.norm(a, 2) for a in A])
    for q in range(D + 1):
        product = torch.zeros(width, width, dtype=torch.float64)
        for S in combinations(range(D), q):
            product += torch.linalg.multi_dot(
                [*(A[k] for k in S[::-1]), *[torch.eye(width).double()] * 2]
            )
        assert torch.allclose(terms[q], x @ product.T, atol=1e-9)
        assert (terms[q].norm(dim=1) <= e[q] * x.norm(dim=1) + 1e-9).all()


@settings(deadline=None, max_examples=40)
@cases
def test_all_orders_from_the_second_on_are_within_the_bound(D, width, scale, seed):
    stack = shallow.Stack(dense(D, width, scale, seed), "sequential")
    x = 3 * torch.randn(50, width, dtype=torch.float64)
    s, c = shallow.constants(stack, x)
    e = shallow.bounds(s)
    whole = stack(x)
    stack.layout = "parallel"
    gap = (whole - stack(x)).norm(dim=1)
    assert (gap <= e[2:].sum() * (x.norm(dim=1) + c) * (1 + 1e-9) + 1e-9).all()
    assert e[1:].sum() == pytest.approx(np.prod(1 + s) - 1)


def test_a_third_order_can_be_as_large_as_a_second_one():
    s = 0.01
    shift = [nn.Sequential(nn.Linear(1, 1).double(), nn.ReLU()) for _ in range(3)]
    for layer, weight, bias in zip(shift, (0.0, 0.0, s), (s, s, -s * s), strict=True):
        nn.init.constant_(layer[0].weight, weight)
        nn.init.constant_(layer[0].bias, bias)
    terms = shallow.expansion(shift, torch.zeros(1, 1, dtype=torch.float64)).flatten()
    assert terms.tolist() == pytest.approx([0, 2 * s, 0, s**2], abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_constants_are_the_norms_of_the_layers(kind):
    stem, stack, _ = net("sequential", kind)
    x = stem(images())
    s, c = shallow.constants(stack, x)
    for layer, found in zip(stack.layers, s, strict=True):
        matrix = tropical.from_torch(layer[:1], tuple(x.shape[1:])).weights[0]
        assert found == pytest.approx(np.linalg.norm(np.asarray(matrix), 2), rel=1e-9)
        assert layer(torch.zeros_like(x[:1])).norm().item() <= c * found * (1 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broad_layer_is_the_parallel_layout_with_its_gradients(kind):
    found = []
    for layout in ("parallel", "broad"):
        one = net(layout, kind)
        out = one(images())
        out.square().sum().backward()
        found.append([out.detach(), *(p.grad for p in one.parameters())])
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("layout", "kind", "spread", "reach"),
    [
        ("sequential", "3 x 3", False, 3),
        ("plain", "3 x 3", False, 3),
        ("parallel", "3 x 3", False, 1),
        ("parallel", "3 x 3", True, 3),
        ("sequential", "1 x 1", False, 0),
        ("parallel", "1 x 1", False, 0),
    ],
)
def test_how_far_a_layout_sees(layout, kind, spread, reach):
    stack = net(layout, kind, spread=spread)[1]
    for layer in stack.layers:
        layer[0].weight.data.abs_()
    x = torch.zeros(1, 4, 9, 9, dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(stack(x + 1)[0, 0, 4, 4], x)
    places = (seen.abs().sum(1)[0] > 0).nonzero() - 4
    assert places.abs().max() == reach


@pytest.mark.parametrize("kind", KINDS)
def test_layouts_begin_with_the_same_numbers(kind):
    ours, theirs = (net(layout, kind).state_dict() for layout in ("sequential", "plain"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("depth", [1, 2, 5, 9])
def test_one_neuron_a_layer_folds_an_interval_into_a_power_of_two(depth):
    stack = shallow.fold(depth)
    x = np.linspace(-1, 1, 2**depth * 4 + 1)[:, None]
    h = x
    for k in range(depth):
        middle = 1 - 2.0**-k
        h = middle + np.abs(h - middle)
    assert np.allclose(stack(torch.tensor(x)).detach(), h)
    for layout, most in (("sequential", 2**depth), ("parallel", depth + 1)):
        stack.layout = layout
        line = tropical.from_torch(nn.Sequential(*[stack]), (1,)).after([[1, 0]], [0])
        pieces = len(tropical.linear_regions(line, ((-1, 1), (0, 1))))
        assert pieces == most or (layout == "parallel" and pieces < most)


def test_regions_of_a_parallel_net_are_those_of_lines():
    one, points = net("broad", depth=4), images(3)
    found = shallow.regions(one, *points)
    plane = tropical.plane_through(*points)
    W = torch.cat([layer[0].weight for layer in one[1].layers]) @ one[0][1].weight
    b = torch.cat([layer[0].weight @ one[0][1].bias + layer[0].bias for layer in one[1].layers])
    a = (W @ torch.tensor(plane.axes.T)).detach().numpy()
    b = (W @ torch.tensor(plane.origin) + b).detach().numpy()
    low, high = found.corners.min(axis=0), found.corners.max(axis=0)
    corners = np.array([(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])])
    sides = np.sign(corners @ a.T + b)
    lines = np.flatnonzero(np.abs(sides.sum(axis=0)) < 4)
    crossings = 0
    for i, j in combinations(lines, 2):
        at = np.linalg.solve(a[[i, j]], -b[[i, j]])
        crossings += bool((low < at).all() and (at < high).all())
    assert len(found) == 1 + len(lines) + crossings
    assert len(found) > 10


@pytest.mark.parametrize("layout", ["sequential", "parallel"])
def test_a_chain_of_modules_is_the_network_and_backs_its_gradient(layout):
    one, y = net(layout, "3 x 3"), torch.arange(7) % 5
    chain = shallow.isolated(one, seed=0)
    assert torch.allclose(chain(images()), one(images()))
    nn.functional.cross_entropy(one(images()), y).backward()
    plain = [p.grad.clone() for p in one.parameters()]
    chain.zero_grad()
    local.BP().gradients(chain, images(), y)
    assert all(torch.allclose(p.grad, g) for p, g in zip(one.parameters(), plain, strict=True))


@pytest.mark.parametrize("alone", [True, False])
def test_a_layer_that_learns_alone_does_not_know_the_others(alone):
    found = []
    for scale in (1.0, 2.0):
        one, y = net("parallel"), torch.arange(7) % 5
        one[1].layers[0][0].weight.data *= scale
        local.PlainLocal().gradients(shallow.isolated(one, alone=alone, seed=0), images(), y)
        found.append(one[1].layers[1][0].weight.grad)
    assert torch.equal(*found) == alone


@pytest.mark.parametrize("name", ["", "-dense", "-folds", "-local"])
def test_the_experiments_run_twice_to_equal_records(name, tmp_path):
    small = setting(f"shallow-again{name}", "quick")
    few = {"depths": (2,), "epochs": 1} if hasattr(small, "depths") else {"seeds": 1}
    found = [
        [runs.read(p) for p in run(f"shallow-again{name}", setting=s, out=tmp_path / where)]
        for where in "ab"
        for s in [replace(small, **few)]
    ]
    for one, other in zip(*found, strict=True):
        for ours, theirs in zip(
            (*one.final, *one.history), (*other.final, *other.history), strict=True
        ):
            same = {key for key in ours if "seconds" not in key}
            assert all(ours[key] == theirs[key] for key in same)
        for row in one.history:
            assert 0 < row["bound_share"] <= 1
            assert len(row["terms"]) == len(row["cut"]) == row["depth"] + 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: net("sideways"), "give one of sequential"),
        (lambda: shallow.Stack([], "plain"), "at least one layer"),
        (lambda: net("plain", kernel=2), "an odd kernel or None"),
        (lambda: net("plain", depth=0), "give positive"),
        (lambda: shallow.isolated(net("plain"), seed=0), "take sequential or parallel"),
        (lambda: shallow.expansion(dense(17, 1, 1, 0), torch.zeros(1, 1)), "1 to 16 layers"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(wrong, says):
    with pytest.raises(ConfigError, match=says):
        wrong()
