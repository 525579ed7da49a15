"""Sparse recurrent networks: strings, cells by hand, masks that hold, a cell as a ReLU network."""

import re
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from localbook import runs, tropical
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.experiments.neighbours.recurrent import depths, properties, random_graph, wired
from localbook.neighbours import sparse_rnn as sparse

KINDS = ("barabasi-albert", "watts-strogatz")
SQUARE = ((0.0, 1.0), (0.0, 1.0))
# The Reber grammar by another way: its language as a regular expression.
INNER = r"(T S* X (X T* V P)* (S | X T* V V) | P T* V (P X T* V)* (V | P S))"
GRAMMAR = re.compile(rf"B([TP])B{INNER}E\1E".replace(" ", ""))


def test_the_corners_are_right_along_one_diagonal_and_their_pairs_do_not_tell():
    assert [bool(GRAMMAR.fullmatch(word)) for word in sparse.CORNERS] == [True, False, False, True]
    pairs = {pair for word in sparse.strings(20) for pair in pairwise(word)}
    assert all(set(pairwise(word)) <= pairs for word in sparse.CORNERS)


def words(x):
    return ["".join(sparse.LETTERS[a - 1] for a in row if a) for row in x.tolist()]


def drawn(counts=None, **how):
    return sparse.draw(counts or {"train": 200, "test": 100}, 20, 3, **how)


def test_the_language_is_that_of_a_regular_expression():
    found = set(sparse.strings(12))
    for inner in map("".join, product("TSXVP", repeat=6)):
        for a, b in product("TP", repeat=2):
            word = f"B{a}B{inner}E{b}E"
            assert (word in found) == bool(GRAMMAR.fullmatch(word))
    assert len(set(sparse.strings(20))) == len(sparse.strings(20)) == 1036
    assert all(GRAMMAR.fullmatch(word) for word in sparse.strings(20))


@pytest.mark.parametrize("hard", [True, False])
def test_splits_are_balanced_and_share_nothing_and_only_order_tells_hard_ones(hard):
    splits = drawn(hard=hard)
    texts = {name: words(part.x) for name, part in splits.items()}
    assert len({*texts["train"], *texts["test"]}) == 300
    right = {w for part in texts.values() for w in part if GRAMMAR.fullmatch(w)}
    pairs = {pair for word in sparse.strings(20) for pair in pairwise(word)}
    for name, part in splits.items():
        assert [int(word in right) for word in texts[name]] == part.y.tolist()
        assert part.y.double().mean() == 0.5
        lawful = [set(pairwise(word)) <= pairs for word in texts[name]]
        assert all(lawful) == hard


def test_frames_are_wrong_in_one_letter_that_no_pair_tells():
    framed = sparse.frames(drawn()["test"])
    texts, half = words(framed.x), len(framed) // 2
    assert [bool(GRAMMAR.fullmatch(text)) for text in texts] == framed.y.bool().tolist()
    pairs = {pair for word in sparse.strings(20) for pair in pairwise(word)}
    for one, two in zip(texts[:half], texts[half:], strict=True):
        assert [k for k in range(len(one)) if one[k] != two[k]] == [1]
        assert set(pairwise(two)) <= pairs


def test_pairs_are_counted_as_by_a_loop():
    x = drawn()["test"].x
    for word, row in zip(words(x), sparse.pair_counts(x), strict=True):
        assert row.sum() == len(word) - 1
        for k in row.nonzero().flatten().tolist():
            assert row[k] == sum(
                a + b == sparse.LETTERS[k // 7] + sparse.LETTERS[k % 7] for a, b in pairwise(word)
            )


def by_hand(net, text):
    """Scores of one text, letter by letter, in numpy: what a cell's equations say."""

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    W, U, b, c = (w.detach().double().numpy() for w in net.layer.parameters())
    h = cell = np.zeros(U.shape[1])
    for letter in text:
        i, r = W @ net.embedding.weight[letter].detach().double().numpy() + b, U @ h + c
        if net.cell == "gru":
            reset, update = (sigmoid(i + r)[k * len(h) : (k + 1) * len(h)] for k in (0, 1))
            new = np.tanh(i[2 * len(h) :] + reset * r[2 * len(h) :])
            h = new + update * (h - new)
        elif net.cell == "lstm":
            enter, forget, g, out = np.split(i + r, 4)
            cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(g)
            h = sigmoid(out) * np.tanh(cell)
        else:
            h = np.tanh(i + r) if net.cell == "tanh" else np.maximum(i + r, 0)
    return net.read.weight.detach().double().numpy() @ h + net.read.bias.detach().double().numpy()


@pytest.mark.parametrize("cell", sparse.CELLS)
def test_scores_are_those_of_the_cells_equations_at_the_last_letter(cell):
    net, x = sparse.Network(cell, 5, 0, embedding=4), drawn()["test"].x[:10]
    wanted = [by_hand(net, row[row > 0].tolist()) for row in x]
    assert np.allclose(net(x).detach(), wanted, atol=1e-5)
    longer = nn.functional.pad(x, (0, 7))
    assert torch.equal(net(longer), net(x))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(
    st.sampled_from([*sparse.CELLS]),
    st.sampled_from([*sparse.PARTS]),
    st.floats(0, 1),
    st.booleans(),
)
def test_masks_keep_exactly_as_many_and_the_largest(cell, part, share, by_chance):
    net = sparse.Network(cell, 4, 1, embedding=5)
    weights = net.matrices(part)
    kept = sparse.masks(weights, share, np.random.default_rng(0) if by_chance else None)
    size = sum(w.numel() for w in weights)
    assert abs(sum(int(mask.sum()) for mask in kept.values()) - (1 - share) * size) <= 0.5
    stays, goes = (
        torch.cat([w.detach().abs()[mask == on] for w, mask in kept.items()])
        for on in (True, False)
    )
    if not by_chance and len(stays) and len(goes):
        assert stays.min() >= goes.max()


@pytest.mark.parametrize("cell", ["relu", "lstm"])
def test_what_is_masked_stays_zero_and_the_rest_learns_as_if_it_were_not_there(cell):
    splits, net = drawn(), sparse.Network(cell, 6, 0, embedding=6)
    before = [w.clone() for w in net.parameters()]
    kept = sparse.masks(net.matrices(), 0.7)
    how = {"epochs": 2, "batch_size": 64, "lr": 0.01, "seed": 5}
    found = sparse.train(net, splits["train"], splits["test"], kept=kept, **how)
    assert len(found) == 3
    assert all(not w[~mask].any() for w, mask in kept.items())
    other = sparse.Network(cell, 6, 0, embedding=6)
    free = dict(zip(other.matrices(), kept.values(), strict=True))
    optimiser = torch.optim.Adam(other.parameters(), lr=0.01)
    order = torch.Generator().manual_seed(5)
    for _ in range(2):
        for part in torch.randperm(200, generator=order).split(64):
            with torch.no_grad():
                for weight, mask in free.items():
                    weight.mul_(mask)
            optimiser.zero_grad()
            x, y = splits["train"].x[part], splits["train"].y[part]
            nn.functional.cross_entropy(other(x), y).backward()
            squares = [w.grad * free.get(w, torch.ones(())) for w in other.parameters()]
            assert torch.cat([g.flatten() for g in squares]).norm() < 5  # nothing is clipped
            optimiser.step()
    changed = [w for w in before if w.ndim > 1]
    assert changed
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        mask = free.get(two, torch.ones_like(two))
        assert torch.allclose(one, two * mask, atol=1e-5)


def test_long_gradients_are_cut():
    splits, net = drawn(), sparse.Network("relu", 6, 0, embedding=6)
    with torch.no_grad():
        net.read.weight.mul_(1e4)
    before = [w.clone() for w in net.parameters()]
    sgd_like = {"epochs": 1, "batch_size": 200, "lr": 1e-3, "seed": 0}
    sparse.train(net, splits["train"], splits["test"], **sgd_like)
    assert all(w.grad.norm() <= 5.001 for w in net.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("share", [0.0, 0.8])
def test_an_unrolled_cell_is_the_cell_on_the_whole_square(share):
    net = sparse.Network("relu", 6, 2, embedding=5)
    with torch.no_grad():
        for weight, mask in sparse.masks(net.matrices(), share).items():
            weight.mul_(mask)
    texts = sparse.encoded(sparse.CORNERS[:3], 20)
    found, grid = sparse.unrolled(net, texts), np.linspace(0, 1, 60)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    a, b, c = net.embedding(texts).detach()
    u, v = (torch.tensor(points[:, k]).float()[:, None, None] for k in (0, 1))
    states = net.layer(a + u * (b - a) + v * (c - a))[0].detach()
    wanted = net.read(states[:, -1]).detach()
    assert np.allclose(found(points), wanted, atol=1e-5)
    assert np.allclose(
        found([[1, 1]]), net(sparse.encoded(sparse.CORNERS[3:], 20)).detach(), atol=1e-5
    )
    seen = len(np.unique((states > 0).flatten(1).numpy(), axis=0))
    assert (
        0.5 * tropical.count_regions(found, SQUARE) <= seen <= tropical.count_regions(found, SQUARE)
    )


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.sampled_from(["barabasi-albert", "watts-strogatz"]), st.integers(10, 30), st.integers(0, 99)
)
def test_graphs_are_layered_by_their_longest_paths(kind, n, seed):
    graph = random_graph(kind, n, seed)
    arcs = nx.from_numpy_array(graph, create_using=nx.DiGraph)
    assert nx.is_weakly_connected(arcs)
    layers = {node: k for k, part in enumerate(nx.topological_generations(arcs)) for node in part}
    assert depths(graph).tolist() == [layers[node] for node in range(n)]
    found = properties(graph)
    assert found["layers"] == nx.dag_longest_path_length(arcs) + 1
    assert found["edges"] == graph.sum() == pytest.approx(found["degree_mean"] * n / 2, abs=1e-3)
    assert found["sinks"] == sum(d == 0 for _, d in arcs.out_degree)


@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_letters_reach_what_is_read_along_the_arcs_only(cell):
    graph = random_graph("barabasi-albert", 14, 1)
    net, kept = wired(cell, graph, 0, embedding=3)
    with torch.no_grad():
        for weight, mask in kept.items():
            weight.mul_(mask)
    arcs, depth = nx.from_numpy_array(graph, create_using=nx.DiGraph), depths(graph)
    steps = depth.max() + 1
    assert net.wait == depth.max()
    assert torch.equal(net.read.weight.any(0), torch.from_numpy(~graph.any(1)))
    inputs = torch.zeros(1, steps, 3, requires_grad=True)
    sources = [node for node in arcs if not arcs.pred[node]]
    for node in arcs:
        (felt,) = torch.autograd.grad(net.layer(inputs)[0][0, -1, node], inputs)
        near = [nx.has_path(arcs, source, node) for source in sources]
        assert felt.any() == any(near)
        first = min(
            nx.shortest_path_length(arcs, s, node)
            for s, there in zip(sources, near, strict=True)
            if there
        )
        assert not felt[0, steps - first :].any() or not first


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: sparse.draw({"train": 2200}, 20, 0), "larger longest"),
        (lambda: sparse.draw({"train": 5}, 20, 0), "even numbers"),
        (lambda: sparse.Network("elman", 4, 0), "one of tanh, relu, gru, lstm"),
        (lambda: sparse.Network("gru", 0, 0), "positive sizes"),
        (lambda: sparse.Network("gru", 3, 0).matrices("gates"), "one of both, input"),
        (lambda: sparse.masks(sparse.Network("gru", 3, 0).matrices(), 1.2), "between 0 and 1"),
        (
            lambda: sparse.unrolled(sparse.Network("tanh", 3, 0), torch.ones(3, 4).long()),
            "relu cell that does not wait",
        ),
        (lambda: random_graph("grid", 12, 0), "barabasi-albert or watts-strogatz"),
        (lambda: random_graph("barabasi-albert", 9, 0), "10 or more"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, says):
    with pytest.raises(ConfigError, match=says):
        call()


@pytest.mark.parametrize("name", ["sparse-rnn", "sparse-rnn-structures"])
def test_the_experiments_run_twice_to_equal_records(name, tmp_path):
    both = [runs.read(run(name, out=tmp_path / str(i))[0]) for i in range(2)]
    assert both[0].history == both[1].history
    rows = [{k: v for k, v in row.items() if k != "seconds"} for b in both for row in b.final]
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]
    if name == "sparse-rnn":
        assert both[0].final[0]["pairs"] == 0.5
        pieces = {r["share"]: r["pieces"] for r in both[0].history if r.get("pieces")}
        assert pieces[0.9][0] < pieces[0.0][0]
        assert all(len(r["test"]) > 1 for r in both[0].history)
