"""Cells against torch's, gradients by lag and segments against slow ways, and what they learn."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from localbook import local, runs
from localbook.data import Adding, Copying
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.neighbours import rnn_review as rnn

TORCH = {"tanh": nn.RNN, "relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
LETTER = Copying(6, symbols=1, alphabet=5)


def samples(task, n=7, seed=0):
    x, y = task.draw(n, torch.Generator().manual_seed(seed))
    return x[None].double(), y[None]


def network(cell="tanh", task=LETTER, units=8, seeds=(3,), **how):
    return rnn.Recurrent(cell, task.inputs, units, task.outputs, seeds, **how).double()


def same_of_torch(net):
    """torch's own cell with the weights of the first network: its gates have another order."""
    cell, H = net.cell, net.units
    order = {"lstm": (0, 1, 3, 2), "gru": (0, 1, 2)}.get(cell, (0,))
    how = {"nonlinearity": cell} if cell in ("tanh", "relu") else {}
    theirs = TORCH[cell](net.W.shape[1], H, batch_first=False, **how).to(net.W.dtype)
    with torch.no_grad():
        for name, weight in (
            ("weight_ih_l0", net.W),
            ("weight_hh_l0", net.U),
            ("bias_ih_l0", net.b),
        ):
            gates = weight[0].split(H, dim=-1)
            getattr(theirs, name).copy_(torch.cat([gates[i] for i in order], -1).T.squeeze(-1))
        theirs.bias_hh_l0.zero_()
        if cell == "gru":
            theirs.bias_hh_l0[2 * H :] = net.a[0, 0]
            # torch keeps with z h, as we do
    return theirs


@pytest.mark.parametrize("cell", rnn.GATES)
def test_states_are_those_of_torch(cell):
    x, _ = samples(LETTER)
    net = network(cell, seeds=(0, 1))
    states = net.advance(net.project(x), net.start(7))
    expected, _ = same_of_torch(net)(x[0])
    found = torch.stack([state[0][0] for state in states])
    assert torch.allclose(found, expected, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(rnn.GATES)),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 7), min_size=4, max_size=4),
)
def test_the_end_is_the_last_of_all_states_and_has_its_gradients(cell, frozen, own, sizes):
    R, T, N, H = sizes  # in float32, in which torch has a kernel for all steps
    net = rnn.Recurrent(cell, 2, H, 1, range(R), frozen=frozen and cell in ("gru", "lstm"))
    draw = torch.Generator().manual_seed(sum(sizes))
    x = torch.randn(R if own else 1, T, N, 2, generator=draw).requires_grad_()
    ends = net.end(x), net.advance(net.project(x), net.start(N))[-1]
    leaves = [x, *net.parameters()][:-2]  # nothing is read out
    found = []
    for end in ends:
        first = torch.autograd.grad(sum(part.pow(3).sum() for part in end), leaves,
                                    create_graph=True, materialize_grads=True)  # fmt: skip
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves,
                                     materialize_grads=True)  # fmt: skip
        found.append([*end, *first, *second])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_all_of_time_is_one_segment_that_ends_at_the_end():
    x, y = samples(LETTER)
    for cell in rnn.GATES:
        net = network(cell, seeds=(3, 4))
        whole, none = rnn.objective(net, LETTER, x, y, length=2)
        one, _ = rnn.objective(net, LETTER, x, y, length=6, rule="all ends")
        assert torch.allclose(whole, one, atol=1e-12)
        assert none.shape == (2, 0)


def test_networks_side_by_side_do_not_know_of_each_other():
    x, y = samples(LETTER)
    one, two = (network("gru", seeds=seeds) for seeds in ((5,), (4, 5)))
    for net in (one, two):
        value, _ = rnn.objective(net, LETTER, x, y, length=2, rule="sgr", weight=2.0)
        value.sum().backward()
    assert torch.allclose(one.U.grad[0], two.U.grad[1], atol=1e-12)


@pytest.mark.parametrize("cell", rnn.GATES)
def test_gradients_by_lag_are_those_of_finite_differences(cell):
    x, y = samples(LETTER, n=1)
    net = network(cell)
    found = rnn.by_lag(net, LETTER, x, y)[0]
    with torch.no_grad():
        z = net.project(x)
        states = [net.start(1), *net.advance(z, net.start(1))]

        def end(t, part, unit, eps):
            state = tuple(s.clone() for s in states[t])
            state[part][0, 0, unit] += eps
            last = [state, *net.advance(z[t:], state)][-1]
            return LETTER.losses(net.read(last), y).item()

        for t in (1, 3, 6):
            slopes = [
                (end(t, part, unit, 1e-6) - end(t, part, unit, -1e-6)) / 2e-6
                for part in range(len(states[0]))
                for unit in range(net.units)
            ]
            slope = torch.tensor(slopes).norm().item()
            assert slope == pytest.approx(found[t - 1], rel=1e-5, abs=1e-9)


class Segment(nn.Module):
    """A part of the sequence as a module of local learning: from state to state."""

    def __init__(self, net, z):
        super().__init__()
        self.net, self.z = net, z

    def forward(self, h):
        z = self.net.project(self.z)
        return self.net.advance(z, (h[None],))[-1][0][0]


class Head(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, h):
        return self.net.read((h[None],))[0]


def unrolled(net, x, length, shared=True):
    """The book's own kind of network, with a module for each segment; or with copies of weights."""
    copy = (lambda net: net) if shared else deepcopy
    parts = x.split(length, dim=1)
    return local.IsolatedNetwork(
        [Segment(copy(net), part) for part in parts], [Head(copy(net)) for _ in parts]
    )


RULES = {
    "isolated": local.PlainLocal(),
    "sgr": local.SGR(weight=3.0, distance="squared"),
}


@pytest.mark.parametrize("cell", ["tanh", "gru"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_in_time_are_those_of_the_book_on_segments_that_share_their_weights(cell, rule):
    x, y = samples(LETTER)
    net = network(cell)
    value, _ = rnn.objective(net, LETTER, x, y, length=2, rule=rule, weight=3.0)
    ours = torch.autograd.grad(value.sum(), [net.W, net.U, net.V])
    RULES[rule].gradients(unrolled(net, x, 2), net.start(7)[0][0], y[0, :, 0])
    for mine, weight in zip(ours, (net.W, net.U, net.V), strict=True):
        assert torch.allclose(mine, weight.grad, atol=1e-11)


def test_discord_is_that_of_the_book_and_the_gradient_through_time_telescopes():
    x, y = samples(LETTER)
    net = network("gru")
    _, discord = rnn.objective(net, LETTER, x, y, length=2, rule="zero")
    chain, start = unrolled(net, x, 2, shared=False), net.start(7)[0][0]
    theirs = local.discord(chain, start, y[0, :, 0]).relative[1:]
    assert torch.allclose(discord[0], theirs, atol=1e-12)
    sides = local.telescope(chain, start, y[0, :, 0])
    whole, _ = rnn.objective(net, LETTER, x, y, length=2)
    own = torch.autograd.grad(whole.sum(), list(net.parameters()))
    through = sum(a + b for a, b in zip(sides.local, sides.error, strict=True))
    expected = torch.cat(
        [
            (w if name in "WUba" else torch.zeros_like(w)).flatten()  # heads take no part
            for (name, _), w in zip(net.named_parameters(), own, strict=True)
        ]
    )
    assert torch.allclose(through, expected, atol=1e-11)


def test_truncation_keeps_the_last_segment_and_controls_have_other_targets():
    x, y = samples(LETTER)
    net = network()
    states = net.advance(net.project(x[:, :4]), net.start(7))
    last = net.advance(net.project(x[:, 4:]), tuple(s.detach() for s in states[-1]))[-1]
    slow = torch.autograd.grad(LETTER.losses(net.read(last), y).mean(), net.U)[0]
    value, _ = rnn.objective(net, LETTER, x, y, length=2, rule="truncated")
    assert torch.allclose(torch.autograd.grad(value.sum(), net.U)[0], slow)
    plain, *penalised = (
        rnn.objective(net, LETTER, x, y, length=2, rule=rule, weight=1.0)[0].item()
        for rule in ("isolated", *rnn.PENALTIES)
    )
    assert len({round(v, 9) for v in penalised}) == 4
    assert min(penalised) > plain
    assert penalised[3] < penalised[0]  # lengths differ by no more than vectors do


def test_a_perfect_memory_has_no_discord():
    """States that nothing changes, read alike at every cut: what SGR asks for."""
    net = network("gru", keep=60.0, frozen=True)
    x, y = samples(LETTER)
    _, discord = rnn.objective(net, LETTER, x, y, length=1, rule="sgr")
    assert discord.max() < 1e-12


def test_an_open_gate_keeps_the_gradient_and_the_lstm_alone_does_not():
    x, y = samples(task := Adding(40))
    kept = {}
    for name, cell, keep in (("tanh", "tanh", 0.0), ("closed", "lstm", 0.0), ("open", "lstm", 3.0)):
        lengths = rnn.by_lag(network(cell, task, 24, range(3), keep=keep), task, x, y).mean(axis=0)
        kept[name] = lengths[0] / lengths[-1]
    assert max(kept["tanh"], kept["closed"]) < 1e-6
    assert kept["open"] > 0.05


def test_tasks_ask_what_they_say_and_their_constants_are_known():
    x, y = Adding(9).draw(4000, torch.Generator().manual_seed(0))
    assert (x[:4, :, 1].sum(0) == 1).all()
    assert (x[4:, :, 1].sum(0) == 1).all()
    assert torch.allclose((x[..., 0] * x[..., 1]).sum(0), y[:, 0])
    assert Adding(9).score(torch.ones(1, 4000, 1), y[None]).item() == pytest.approx(0, abs=0.05)
    task = Copying(7, symbols=3, alphabet=4)
    x, y = task.draw(50, torch.Generator().manual_seed(0))
    assert (y == x[:3].argmax(-1).T).all()
    assert not x[3:].any()
    out = nn.functional.one_hot(y, 4).flatten(1)[None].double()
    assert task.score(out, y[None]).item() == 1
    assert task.losses(0 * out, y[None]).mean().item() == pytest.approx(
        torch.tensor(4.0).log().item()
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: network("elman"),
        lambda: network("tanh", keep=1.0),
        lambda: network(units=0),
        lambda: Adding(1),
        lambda: Copying(3, symbols=4),
        lambda: rnn.objective(network(), LETTER, *samples(LETTER), length=0),
        lambda: rnn.objective(network(), LETTER, *samples(LETTER), length=2, rule="rtrl"),
        lambda: rnn.objective(network(), LETTER, *samples(LETTER), length=2, weight=-1.0),
    ],
)
def test_bad_input_is_refused(wrong):
    with pytest.raises(ConfigError, match="give"):
        wrong()


def test_quick_runs_and_makes_records_that_are_the_same_again(tmp_path):
    found = [
        [runs.read(path) for path in run("rnn-review", profile="quick", out=tmp_path / name)]
        for name in "ab"
    ]
    for one, other in zip(*found, strict=True):
        assert runs.by_seed(one, "test_score") == runs.by_seed(other, "test_score")
    names = [record.method for record in found[0]]
    assert names == list(setting("rnn-review", "quick").methods)
