"""Groups of units: masks by slow loops, rewiring by plain sorting, products of regions."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook import runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.neighbours import g2gnet

NAME = "g2gnet"


def layer_of(inputs=12, outputs=8, wiring="index", p=0.2, seed=0):
    ((inside, mask),) = g2gnet.wire((inputs, outputs), wiring, k=4, p=p, seed=seed)
    return g2gnet.SparseLayer(inside, mask, torch.Generator().manual_seed(seed))


def with_batch(layer, n=9):
    torch.manual_seed(3)
    layer.train()(torch.randn(n, layer.mask.shape[1]))
    return layer


@pytest.mark.parametrize("side", [1, 2, 4])
def test_patches_are_squares_row_by_row(side):
    images = torch.rand(3, 2, 4, 8)
    found = g2gnet.patches(images, side)
    places = [(i, j) for i in range(0, 4, side) for j in range(0, 8, side)]
    assert found.shape == (3, len(places), 2, side, side)
    for number, (i, j) in enumerate(places):
        assert torch.equal(found[:, number], images[:, :, i : i + side, j : j + side])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.integers(1, 4), st.lists(st.integers(4, 12), min_size=2, max_size=4), st.floats(0, 1),
    st.sampled_from(["dense", "index", "random", "mixer", "scattered"]), st.integers(0, 5),
)  # fmt: skip
def test_masks_have_all_within_groups_and_an_exact_share_across(k, widths, p, wiring, seed):
    layers = g2gnet.wire(widths, wiring, k=k, p=p, seed=seed)
    assert [mask.shape for _, mask in layers] == [(m, n) for n, m in pairwise(widths)]
    for inside, mask in layers:
        within, across = int(inside.sum()), int((~inside).sum())
        share = 1.0 if wiring == "dense" else p
        assert mask.sum() == within + round(share * across)
        assert wiring == "scattered" or mask[inside].all()


def test_groups_are_those_of_a_slow_loop():
    widths, k = (8, 12, 4), 4
    for wiring in ("index", "mixer"):
        layers = g2gnet.wire(widths, wiring, k=k, p=0.0, seed=0)
        for number, (inside, mask) in enumerate(layers):
            n, m = widths[number : number + 2]
            strides = wiring == "mixer" and number == 1
            slow = [
                [(o % k == i % k) if strides else (o // (m // k) == i // (n // k))
                 for i in range(n)]
                for o in range(m)
            ]  # fmt: skip
            assert torch.equal(inside, torch.tensor(slow))
            assert torch.equal(mask, inside)


def reach(layers):
    """Which inputs each unit of the last layer can see."""
    seen = layers[0][1].double()
    for _, mask in layers[1:]:
        seen = mask.double() @ seen
    return (seen > 0).double().mean().item()


def test_blocks_keep_inputs_apart_mixers_do_not_and_neither_do_random_groups_across():
    widths = (16, 16, 16, 16)
    found = {
        wiring: reach(g2gnet.wire(widths, wiring, k=4, p=0.0, seed=0))
        for wiring in ("index", "random", "mixer")
    }
    assert found == {"index": 0.25, "random": 0.25, "mixer": 1.0}


def test_random_groups_are_consecutive_ones_with_renamed_units():
    widths = (16, 8, 12)
    random = g2gnet.wire(widths, "random", k=4, p=0.0, seed=1)
    index = g2gnet.wire(widths, "index", k=4, p=0.0, seed=1)
    order = [torch.arange(widths[0])]
    for (_, one), (_, other) in zip(random, index, strict=True):
        assert not torch.equal(one, other)
        if len(order) == 1:  # the inputs of one group have the same outputs
            order = [torch.tensor(sorted(range(widths[0]), key=lambda i: one[:, i].tolist()))]
        moved = one[:, order[-1]]
        order.append(torch.tensor(sorted(range(len(one)), key=lambda o: moved[o].int().argmax())))
        assert torch.equal(moved[order[-1]], other)


def test_weights_start_with_the_spread_of_their_active_inputs_and_the_numbers_of_the_dense_ones():
    widths = (400, 300)
    ((inside, mask),) = g2gnet.wire(widths, "scattered", k=4, p=0.1, seed=0)
    sparse, dense = (
        g2gnet.SparseLayer(inside, m, torch.Generator().manual_seed(1))
        for m in (mask, torch.ones_like(mask))
    )
    ratio = sparse.weight[mask] / dense.weight[mask]
    rows = mask.sum(1, keepdim=True).expand_as(mask)[mask]
    assert torch.allclose(ratio, (400 / rows).sqrt(), rtol=1e-4)
    assert not sparse.weight[~mask].any()
    x = torch.randn(500, 400)
    assert sparse(x).square().mean().item() == pytest.approx(1.0, rel=0.1)


def test_active_parameters_are_counted_by_hand():
    net = g2gnet.network(g2gnet.wire((16, 8, 8), "index", k=4, p=0.0, seed=0), 3, 0)
    assert g2gnet.active(net) == 16 * 8 // 4 + 8 + 8 * 8 // 4 + 8 + 8 * 3 + 3


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(1, 6), st.booleans(), st.integers(0, 99))
def test_the_hebbian_score_is_a_cosine_or_a_correlation(n, centred, seed):
    draw = np.random.default_rng(seed)
    pre, post = draw.integers(-2, 3, (n, 3)).astype(float), draw.integers(0, 3, (n, 2)) * 1.0
    found = g2gnet.hebb(torch.tensor(pre), torch.tensor(post), centred=centred)
    for o in range(2):
        for i in range(3):
            a, b = pre[:, i], post[:, o]
            if centred:
                a, b = a - a.mean(), b - b.mean()
            lengths = math.sqrt(a @ a) * math.sqrt(b @ b)
            expected = a @ b / lengths if lengths > 1e-9 else 0.0
            assert found[o, i].item() == pytest.approx(expected, abs=1e-9)


def test_a_cosine_favours_busy_units_and_a_correlation_does_not():
    torch.manual_seed(0)
    pre = torch.rand(2000, 2) + torch.tensor([0.0, 10.0])  # independent of everything
    post = torch.rand(2000, 1)
    cosine, correlation = (g2gnet.hebb(pre, post, centred=c)[0] for c in (False, True))
    assert cosine[1] > cosine[0] + 0.05
    assert correlation.abs().max() < 0.1


@pytest.mark.parametrize("drop", ["set", "hebb", "random"])
@pytest.mark.parametrize("grow", ["hebb", "random"])
@pytest.mark.parametrize("centred", [False, True])
def test_rewiring_takes_the_lowest_and_adds_the_highest(drop, grow, centred):
    layer = with_batch(layer_of())
    mask, weight = layer.mask.clone().flatten(), layer.weight.detach().clone().flatten()
    moments = [torch.ones_like(layer.weight) for _ in range(2)]
    rule = g2gnet.Rewiring(drop, grow, centred=centred, share=0.2)
    dropped, grown = g2gnet.rewire(layer, rule, torch.Generator().manual_seed(5), moments)
    assert len(dropped) == len(grown) == round(0.2 * mask.sum().item())
    assert mask[dropped].all()
    assert not mask[grown].any()
    assert layer.mask.sum() == mask.sum()
    C = g2gnet.hebb(*layer.seen, centred=centred).flatten()
    rank = {"set": weight.abs(), "hebb": C}
    if drop in rank:
        left = [i for i in range(len(mask)) if mask[i] and i not in dropped.tolist()]
        assert rank[drop][dropped].max() <= rank[drop][left].min() + 2e-7
    if grow == "hebb":
        left = [i for i in range(len(mask)) if not mask[i] and i not in grown.tolist()]
        assert C[grown].min() >= C[left].max() - 2e-7
    changed = torch.cat([dropped, grown])
    for moment in moments:
        assert not moment.flatten()[changed].any()
        assert moment.sum() == moment.numel() - len(changed)
    now = layer.weight.detach().flatten()
    same = [i for i in range(len(mask)) if i not in changed.tolist()]
    assert torch.equal(now[same], weight[same])
    assert not now[dropped].any()
    assert now[grown].all()


def test_new_weights_are_zero_where_asked_for():
    layer = with_batch(layer_of())
    rule = g2gnet.Rewiring(zero=True, share=0.3)
    _, grown = g2gnet.rewire(layer, rule, torch.Generator().manual_seed(0))
    assert not layer.weight.flatten()[grown].any()


def test_a_layer_without_room_is_left_as_it_is():
    layer = with_batch(layer_of(wiring="dense"))
    before = layer.weight.detach().clone()
    dropped, grown = g2gnet.rewire(layer, g2gnet.Rewiring(), torch.Generator())
    assert len(dropped) == len(grown) == 0
    assert torch.equal(layer.weight, before)


def images(n=120, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 16, generator=draw)
    return x, (x[:, :4].sum(1) > 0).long()


@pytest.mark.parametrize("rewiring", [None, g2gnet.Rewiring(every=3, until=0.5)])
def test_training_keeps_the_number_of_connections_and_rewires_until_told(rewiring):
    layers = g2gnet.wire((16, 8, 8), "mixer", k=4, p=0.15, seed=0)
    net, counts = g2gnet.network(layers, 2, 0), []
    before = g2gnet.active(net)
    found = g2gnet.train(
        net, *images(), epochs=10, batch_size=40, lr=0.01, seed=0, rewiring=rewiring,
        look=counts.append,
    )  # fmt: skip
    assert g2gnet.active(net) == before
    assert found == len(counts) == (0 if rewiring is None else 5)  # 30 steps, half of them
    for (_, mask), layer in zip(layers, net[1:-1], strict=True):
        assert torch.equal(layer.mask, mask) == (rewiring is None)
        assert not layer.weight[~layer.mask].any()


def test_training_without_a_mask_is_plain_adam():
    layers = g2gnet.wire((16, 8), "dense", k=4, p=0.0, seed=0)
    ours, theirs = (g2gnet.network(layers, 2, 0) for _ in range(2))
    x, y = images()
    g2gnet.train(ours, x, y, epochs=4, batch_size=len(x), lr=0.01, seed=0)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(4):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(theirs(x), y).backward()
        adam.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def blocks(widths, k, seed):
    layers = g2gnet.wire(widths, "index", k=k, p=0.0, seed=seed)
    net = g2gnet.network(layers, 2, seed).double().eval()
    torch.manual_seed(seed)
    for layer in net[1:-1]:
        layer.bias.data.uniform_(-1, 1)
    return net


@pytest.mark.parametrize("seed", [0, 1])
def test_regions_of_blocks_are_products_and_scores_are_sums(seed):
    net = blocks((2, 8, 8), 2, seed)
    box = np.array([(-1.0, 1.0)] * 2)
    parts = []
    for g in range(2):
        rows = slice(4 * g, 4 * g + 4)
        hidden = tropical.ReLUNetwork(
            (
                net[1].weight.detach().numpy()[rows, g : g + 1],
                net[2].weight.detach().numpy()[rows, rows],
                np.ones((2, 4)),
            ),
            (net[1].bias.detach().numpy()[rows], net[2].bias.detach().numpy()[rows], np.zeros(2)),
        )
        parts.append(tropical.count_regions(hidden, box[:1]))
    relu = tropical.from_torch(net, (2,))
    assert tropical.count_regions(relu, box) == parts[0] * parts[1] > 4
    x = torch.rand(4, 30, dtype=torch.float64)
    corners = [net(torch.stack(pair, 1)) for pair in ((x[0], x[2]), (x[1], x[3]))]
    others = [net(torch.stack(pair, 1)) for pair in ((x[0], x[3]), (x[1], x[2]))]
    assert torch.allclose(sum(corners), sum(others))


def test_a_quarter_of_the_weights_reaches_nearly_as_much_and_all_count_alike(records):
    counts = {m: r.sizes["parameters"] for m, r in records.items()}
    assert counts["index"] == counts["scattered"] == counts["set-hebb"] < counts["dense"] / 3
    score = {m: np.mean([*runs.by_seed(r, "test_accuracy").values()]) for m, r in records.items()}
    assert min(score.values()) > 0.75
    assert score["index"] > score["dense"] - 0.08


def test_rewired_groups_dissolve_and_the_busiest_input_gains(records):
    first, *_, last = [row for row in records["set-hebb"].history if row["seed"] == 0]
    assert last["rewiring"] == 40
    assert last["inside"] < first["inside"] < 0.49
    assert last["busiest"] > 1.2
    assert records["blocks"].final[0]["inside"] == 1


def test_runs_repeat_with_a_convolution_and_a_narrow_network_too(tmp_path):
    small = replace(
        setting(NAME, "quick"), data="shapes", side=8, filters=2, epochs=1, seeds=1,
        methods=("dense-narrow", "dense-dropout", "set-hebb"), images=(100, 50, 50),
    )  # fmt: skip
    one, two = (
        [runs.read(p) for p in run(NAME, setting=small, out=tmp_path / name)] for name in "ab"
    )
    for a, b in zip(one, two, strict=True):
        assert a.history == b.history
        same = {"cpu_seconds": 0, "seconds": 0}
        assert a.final[0] | same == b.final[0] | same
    assert one[0].sizes["parameters"] >= one[2].sizes["parameters"]
    assert one[0].sizes["parameters"] < one[1].sizes["parameters"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: g2gnet.patches(torch.zeros(1, 1, 8, 8), 3), "cannot be cut into patches of 3"),
        (lambda: g2gnet.partition(3, 4), "do not make 4 groups"),
        (lambda: g2gnet.wire((8, 8), "modular", k=2, p=0.1, seed=0), "one of"),
        (lambda: g2gnet.wire((8,), "index", k=2, p=0.1, seed=0), "two widths"),
        (lambda: g2gnet.wire((8, 8), "index", k=2, p=1.5, seed=0), "not a share"),
        (lambda: g2gnet.Rewiring(grow="set"), "known rules"),
        (lambda: g2gnet.Rewiring(every=0), "every of 1 or more"),
        (lambda: g2gnet.rewire(layer_of(), g2gnet.Rewiring(), None), "seen no batch"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
