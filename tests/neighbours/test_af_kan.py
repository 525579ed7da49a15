"""AF-KAN: layers beside slow loops, splines beside scipy's, predictions in other company."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from localbook import runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.neighbours import af_kan

NAME = "af-kan"
SIGMA = {"silu": lambda u: u / (1 + math.exp(-u)), "relu": lambda u: max(u, 0.0)}
COMBINE = {
    "sum": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "sum_prod": lambda a, b: a + b + a * b,
    "quad1": lambda a, b: a * a * b * b,
    "quad2": lambda a, b: a * b + a * a + b * b,
    "cubic1": lambda a, b: (a + b) * (a * a + b * b),
    "cubic2": lambda a, b: a * b * a * b * a * b,
}


def moved(layer):
    """The layer in double precision, with no parameter where it started."""
    torch.manual_seed(1)
    for weight in layer.double().parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return layer


def layer_of(inputs=4, outputs=3, **options):
    torch.manual_seed(0)
    return moved(af_kan.AFLayer(inputs, outputs, grid=2, order=2, **options))


@pytest.fixture
def x():
    return torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def slow_features(layer, x, activation, combine, over):
    """By the paper: sides, combination, division by the Euclidean norm, then the move to [0, 1]."""
    sigma, low, high = SIGMA[activation], layer.low.tolist(), layer.high.tolist()
    rows = [
        [[COMBINE[combine](sigma(v - a), sigma(b - v)) for a, b in zip(low, high, strict=True)]
         for v in row]
        for row in x.tolist()
    ]  # fmt: skip
    F = np.array(rows)
    for part in {"batch": [F], "sample": list(F), "none": []}[over]:
        part /= np.sqrt((part**2).sum())
        part -= part.min()
        part /= part.max()
    return F


def softmax(values):
    e = np.exp(np.array(values) - max(values))
    return e / e.sum()


def slow_reduced(layer, F):
    N, D, G = F.shape
    w, b = (p.detach().numpy() for p in (layer.score.weight, layer.score.bias))
    heat = max(layer.temperature.item(), 1.0) if layer.reduction != "multistep" else None
    z = np.zeros((N, D))
    for n in range(N):
        if layer.reduction == "spatial":
            padded = np.vstack([np.zeros(G), F[n], np.zeros(G)])
            for d in range(D):
                along = [padded[d : d + 3, i] @ w[i, 0] + b[i] for i in range(G)]
                z[n, d] = softmax(np.array(along) / heat) @ F[n, d]
            continue
        steps = [float(w[0] @ F[n, d] + b[0]) for d in range(D)]
        share = softmax(np.array(steps) / heat) if heat else None
        for d in range(D):
            z[n, d] = share[d] * F[n, d].sum() if heat else steps[d]
    return z


@pytest.mark.parametrize("reduction", ["global", "spatial", "multistep"])
@pytest.mark.parametrize("over", ["batch", "sample", "none"])
@pytest.mark.parametrize(("activation", "combine"), [("silu", "quad1"), ("relu", "sum")])
def test_a_layer_is_the_slow_loop(x, reduction, over, activation, combine):
    layer = layer_of(reduction=reduction, over=over, activation=activation, combine=combine)
    F = slow_features(layer, x, activation, combine, over)
    assert np.allclose(layer.features(x).detach(), F)
    z = slow_reduced(layer, F)
    assert np.allclose(layer.reduced(torch.tensor(F)).detach(), z)
    centred = z - z.mean(1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(1, keepdims=True) + layer.norm.eps)
    gain, shift, W = (p.detach().numpy() for p in (*layer.norm.parameters(), layer.W.weight))
    ended = np.vectorize(SIGMA[activation])(unit * gain + shift) @ W.T
    assert np.allclose(layer(x).detach(), ended)


@pytest.mark.parametrize("combine", list(COMBINE))
def test_every_combination_is_its_formula(x, combine):
    layer = layer_of(combine=combine, over="none")
    assert np.allclose(layer.features(x).detach(), slow_features(layer, x, "silu", combine, "none"))


def test_all_parameters_are_used_and_counted(x):
    for reduction, more in (("global", 4 + 1 + 1), ("multistep", 4 + 1), ("spatial", 4 * 4 + 1)):
        layer = layer_of(reduction=reduction)
        layer(x).square().sum().backward()
        # b moves all z alike, which LayerNorm and the softmax over inputs undo.
        still = [name for name, p in layer.named_parameters() if not p.grad.abs().max() > 1e-12]
        assert still == ([] if reduction == "spatial" else ["score.bias"])
        assert sum(p.numel() for p in layer.parameters()) == 4 * 3 + 2 * 4 + 2 * 4 + more


@pytest.mark.parametrize("over", ["batch", "sample"])
def test_what_follows_a_multistep_undoes_the_normalisation(x, over):
    one, other = (layer_of(reduction="multistep", over=o) for o in (over, "none"))
    one.norm.eps = other.norm.eps = 0.0
    assert torch.allclose(one(x), other(x))
    attended, plain = (layer_of(over=o) for o in (over, "none"))
    attended.norm.eps = plain.norm.eps = 0.0
    assert not torch.allclose(attended(x), plain(x), rtol=1e-3)


@pytest.mark.parametrize("over", ["batch", "sample", "none"])
def test_only_the_batchs_normalisation_looks_at_the_company(x, over):
    net = af_kan.network((4, 6, 3), 0, partial(af_kan.AFLayer, over=over)).double()
    together, alone = (af_kan.scores(net, x, size) for size in (5, 1))
    assert torch.allclose(together, alone, atol=1e-9) == (over != "batch")
    again = af_kan.scores(net, x.flip(0), 5).flip(0)
    assert torch.allclose(together, again, atol=1e-9)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.integers(1, 6), st.integers(1, 5), st.floats(0.5, 4),
    st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=8),
)  # fmt: skip
def test_splines_are_scipys_on_knots_between_and_beyond(grid, order, reach, places):
    step = 2 * reach / grid
    knots = -reach + step * np.arange(-order, grid + order + 1)
    at = np.concatenate([reach * np.array(places), knots])
    found = af_kan.b_splines(torch.tensor(at), grid, order, reach).numpy()
    assert found.shape == (len(at), grid + order)
    for i in range(grid + order):
        spline = BSpline.basis_element(knots[i : i + order + 2], extrapolate=False)
        assert np.allclose(found[:, i], np.nan_to_num(spline(at)), atol=1e-9)
    inside = np.abs(at) <= reach
    assert np.allclose(found[inside].sum(1), 1)


def test_layers_with_a_weight_for_every_function_are_their_double_sums(x):
    torch.manual_seed(0)
    relu, spline = (
        moved(kind(4, 3, grid=2, order=2)) for kind in (af_kan.ReLUKAN, af_kan.SplineKAN)
    )
    values = relu.norm(x).detach().numpy()
    for o in range(3):
        total = np.full(5, relu.W.bias[o].item())
        for d in range(4):
            for i in range(4):
                low, high = relu.low[d, i].item(), relu.high[d, i].item()
                sides = np.maximum(values[:, d] - low, 0) * np.maximum(high - values[:, d], 0)
                total += relu.W.weight[o, 4 * d + i].item() * 16 / 1.5**4 * sides**2
        assert np.allclose(relu(x)[:, o].detach(), total)
    values = spline.norm(x).detach().numpy()
    knots = -2 + 2 * np.arange(-2, 5)
    for o in range(3):
        c = spline.W.weight[o].detach().numpy().reshape(4, 4)
        V = spline.V.weight[o].detach().numpy()
        total = values / (1 + np.exp(-values)) @ V
        for d in range(4):
            for i in range(4):
                b = BSpline.basis_element(knots[i : i + 4], extrapolate=False)
                total += c[d, i] * np.nan_to_num(b(values[:, d]))
        assert np.allclose(spline(x)[:, o].detach(), total)


def test_a_bump_of_relu_kan_begins_as_one_at_its_middle_and_zero_outside():
    layer = af_kan.ReLUKAN(1, 1, grid=3, order=3)
    layer.norm = torch.nn.Identity()
    torch.nn.init.ones_(layer.W.weight)
    layer.W.bias.data.zero_()
    low, high = (bound.clone() for bound in (layer.low.data, layer.high.data))
    layer.low.data, layer.high.data = low[:, :1].repeat(1, 6), high[:, :1].repeat(1, 6)
    ends = torch.tensor([low[0, 0], (low[0, 0] + high[0, 0]) / 2, high[0, 0]])[:, None]
    assert torch.allclose(layer(ends)[:, 0], torch.tensor([0.0, 6.0, 0.0]), atol=1e-5)


def test_with_relu_sums_and_no_normalisation_it_is_a_relu_network():
    how = {"activation": "relu", "combine": "sum", "reduction": "multistep", "over": "none"}
    net = af_kan.network((2, 3, 2), 0, partial(af_kan.AFLayer, **how)).eval()
    for layer in net:
        layer.norm = torch.nn.Identity()
    relu = tropical.from_torch(net, input_shape=(2,))
    points = torch.randn(50, 2)
    assert np.allclose(relu(points.numpy()), net(points).detach(), atol=1e-5)


def test_the_rate_falls_by_the_epoch_or_along_a_cosine(x):
    y, ends = torch.tensor([0, 1, 2, 0, 1]), []
    for epochs, fall in ((1, 0.0), (4, 0.0), (4, 1.0), (4, None)):
        net = af_kan.network((4, 3), 0, af_kan.ReLUKAN).double()
        af_kan.train(net, x, y, epochs=epochs, batch_size=2, lr=0.01, seed=0, fall=fall)
        ends.append(net[0].W.weight.detach())
    assert torch.equal(ends[0], ends[1])
    away = [float((end - ends[0]).norm()) for end in ends[2:]]
    assert 0 < away[1] < away[0]


def test_rivals_have_the_fewest_neurons_that_give_no_fewer_parameters(records):
    goal = records["af-kan"].sizes["parameters"]
    for method in ("relu-kan", "spline"):
        assert goal <= records[method].sizes["parameters"] < 1.25 * goal
        assert records[method].config["chosen"]["hidden"] < 8
    assert 0.97 * goal < records["mlp"].sizes["parameters"] <= goal


def test_it_beats_full_kans_of_its_size_but_not_the_mlp(records):
    score = {m: runs.by_seed(r, "test_accuracy") for m, r in records.items()}
    for seed in (0, 1):
        assert score["af-kan"][seed] > score["relu-kan"][seed] + 0.05
        assert score["af-kan"][seed] < score["mlp"][seed]


def test_without_the_batchs_normalisation_company_changes_nothing(records):
    assert all(row["changed"] == 0 for row in records["not-normalised"].history)
    companies = [row["company"] for row in records["af-kan"].history if row["seed"] == 0]
    assert companies == ["all", "64", "8", "1", "sorted"]


def test_runs_repeat(records, tmp_path):
    again = runs.read(run(NAME, methods=["af-kan"], out=tmp_path)[0])
    assert again.history == records["af-kan"].history


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: layer_of(reduction="local"), "'local' is unknown here; choose of global, spatial"),
        (lambda: layer_of(combine="max"), "'max' is unknown"),
        (lambda: layer_of(over="all"), "'all' is unknown"),
        (lambda: layer_of(activation="gelu"), "'gelu' is unknown"),
        (lambda: af_kan.bounds(0, 3), "both at least 1"),
        (lambda: af_kan.b_splines(torch.zeros(1), 3, 3, 0.0), "give positive numbers"),
        (lambda: af_kan.network((4,), 0, af_kan.ReLUKAN), "give inputs and outputs"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_features_that_are_all_alike_give_zeros_and_not_nan():
    assert torch.equal(af_kan.normalised(torch.ones(2, 3, 4), "batch"), torch.zeros(2, 3, 4))
