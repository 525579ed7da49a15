"""Layers skipped, pointers chased, maps between networks: each against a slow reference."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from localbook import local, runs
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.neighbours import depth_efficiency as depth
from localbook.streams import Stream, Sublayer

NAME = "depth-efficiency"


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def small(seed=0, layers=3):
    return depth.chaser(5, 2, 4, depth=layers, width=8, heads=2, seed=seed).double()


X, Y = depth.puzzles(6, 5, 2, 4, draws())
X = X.double()


def test_contributions_are_lengths_and_angles_by_hand():
    parts = [
        Sublayer("attention", 0, lambda h: h / 2, 0),
        Sublayer("mlp", 0, lambda h: -h / 3, 0),  # the layer adds nothing
        Sublayer("attention", 1, lambda h: h.flip(-1) * torch.tensor([1.0, -1.0]), 0),  # turned
        Sublayer("mlp", 1, lambda h: h, 0),
    ]
    stream = Stream(lambda x: x, parts, lambda h: h)
    found = depth.contributions(stream.states(torch.tensor([[[9.0, 9.0], [3.0, 4.0]]])))
    np.testing.assert_allclose(found["attention"], [0.5, 1], atol=1e-6)
    np.testing.assert_allclose(found["mlp"], [1 / 3, 1], atol=1e-6)
    np.testing.assert_allclose(found["layer"], [0, np.sqrt(5)], atol=1e-6)
    np.testing.assert_allclose(found["attention_cosine"], [1, 0], atol=1e-6)
    np.testing.assert_allclose(found["mlp_cosine"], [-1, 1], atol=1e-6)


@pytest.mark.parametrize(("first", "until"), [(0, None), (1, None), (0, 5), (2, 6)])
def test_skips_are_those_of_a_loop_over_positions(first, until):
    net = small()
    stream = depth.stream_of(net)
    states = stream.states(stream.embed(X))
    (embed, block), *blocks = net.local_modules
    blocks = [block, *blocks]
    T = X.shape[1]
    at = range(first, T if until is None else until)
    start = first if until is None else until

    def run_without(skipped):
        h, added = embed(X), []
        for layer, block in enumerate(blocks):
            a = block.attention(h)
            if layer == skipped:
                a[:, at] = 0
            m = block.mlp(h + a)
            if layer == skipped:
                m[:, at] = 0
            added.append(a + m)
            h = h + a + m
        return added, net.heads[-1][1](net.heads[-1][0](h))

    with torch.no_grad():
        whole, _ = run_without(None)
        for s, (later, scores) in enumerate(depth.skips(stream, states, first=first, until=until)):
            added, expected = run_without(s)
            torch.testing.assert_close(scores, expected[:, start:])
            assert not later[: s + 1].any()
            for layer in range(s + 1, len(blocks)):
                off = (added[layer] - whole[layer]).norm(dim=-1) / whole[layer].norm(dim=-1)
                torch.testing.assert_close(
                    later[layer].double(), off[:, start:], rtol=1e-5, atol=1e-6
                )


@given(arrays(float, (3, 5), elements=st.floats(0.01, 10)))
def test_scores_lie_within_the_layers_and_know_no_scale(e):
    centre, used = depth.depth_score(e)
    again = depth.depth_score(7 * e)
    np.testing.assert_allclose([centre, used], again)
    assert 1 <= centre.min() <= centre.max() <= 5
    assert 1 <= used.min() <= used.max() <= 5 + 1e-9
    mirrored, same = depth.depth_score(e[:, ::-1])
    np.testing.assert_allclose(mirrored, 6 - centre)
    np.testing.assert_allclose(same, used)


def test_scores_of_one_layer_and_of_equal_ones():
    centre, used = depth.depth_score([[0, 0, 2, 0], [1, 1, 1, 1]])
    np.testing.assert_allclose(centre, [3, 2.5])
    np.testing.assert_allclose(used, [1, 4])


def test_probabilities_move_as_far_as_their_difference():
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, np.log(3)]])
    assert depth.moved(a, b).item() == pytest.approx(np.hypot(0.25, 0.25))


def test_answers_are_those_of_walking_the_ring():
    x, y = depth.puzzles(20, 7, 4, 8, draws(1))
    for tokens, answers in zip(x, y, strict=True):
        f = {int(t[:7].argmax()): int(t[7:].argmax()) for t in tokens[:7]}
        assert sorted(f) == sorted(f.values()) == list(range(7))
        for token, answer in zip(tokens[7:], answers, strict=True):
            place, k = int(token[:7].argmax()), int(token[14:].argmax()) + 1
            seen = [place]
            for _ in range(k):
                place = f[place]
                seen.append(place)
            assert place == answer
            assert len(set(seen)) == k + 1  # no answer is met on the way
    assert (x.sum(-1) == 2).all()


def test_a_stream_gives_the_scores_of_its_network_and_questions_do_not_meet():
    net = small()
    stream = depth.stream_of(net)
    torch.testing.assert_close(stream(X)[:, -4:].transpose(1, 2), net(X))
    other = X.clone()
    other[:, -1] = X[:, -2]
    torch.testing.assert_close(net(X)[..., :-1], net(other)[..., :-1])
    other = X.clone()
    other[:, 3] = X[:, 2]
    assert torch.equal(net.local_modules[0](X)[:, :3], net.local_modules[0](other)[:, :3])


@pytest.mark.parametrize("rule", [local.BP(), local.PlainLocal(), local.SGR(0.1, "squared")])
def test_every_rule_trains_every_layer(rule):
    net = depth.chaser(5, 2, 4, depth=3, width=8, heads=2, seed=0)
    rule.gradients(net, *depth.puzzles(6, 5, 2, 4, draws()))
    assert all(w.grad is not None and w.grad.any() for w in net.local_modules.parameters())


def test_maps_are_those_of_ridge_regression():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    A, B = (torch.tensor(rng.normal(size=(40, k))) for k in (3, 4))
    B = B + 2 * A[:, :1] + 5
    found = depth.stitching([A, 10 * A], [B, A])
    scale = 20 * depth.RIDGE * A[:20].var(0, correction=0).mean().item()
    for j, target in enumerate((B, A)):
        fit = Ridge(alpha=scale).fit(A[:20], target[:20])
        rest = target[20:].numpy()
        expected = ((fit.predict(A[20:]) - rest) ** 2).sum() / ((rest - rest.mean(0)) ** 2).sum()
        np.testing.assert_allclose(found[:, j], expected)
    assert found[0, 1] < 1e-4 < 0.05 < found[0, 0]  # itself, and something else


def test_what_was_recorded_is_measured_again_the_same_way(tmp_path):
    one = {r.method: r for r in map(runs.read, run(NAME, out=tmp_path / "a", seeds=1))}
    (again,) = (runs.read(p) for p in run(NAME, out=tmp_path / "b", seeds=1, methods=["local"]))
    assert again.history == one["local"].history
    maps = one["maps"]
    assert {(row["depth"], row["hops"]) for row in maps.history} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    deep, again = (np.array(maps.final[0][f"map_{name}"]) for name in ("deep", "again"))
    assert (deep.shape, again.shape) == ((2, 3), (3, 3))
    for row in one["sgr"].history:
        assert len(row["heads"]) == len(row["lost"]) == len(row["effect"]) == 2
        assert all(a <= b for a, b in zip(row["effect"], row["effect_max"], strict=True))
        assert 1 <= min(row["score"], row["in_use"]) <= max(row["score"], row["in_use"]) <= 2


def test_bad_input_is_refused_in_one_sentence():
    stream = depth.stream_of(small())
    states = stream.states(stream.embed(X))
    with pytest.raises(ConfigError, match="none is left"):
        next(depth.skips(stream, states, first=3, until=3))
    with pytest.raises(ConfigError, match="none is left"):
        next(depth.skips(stream, states, until=9))
    with pytest.raises(ConfigError, match="fewer than n"):
        depth.puzzles(1, 4, 4, 1, draws())
    with pytest.raises(ConfigError, match="one layer has to have some"):
        depth.depth_score([[0, 0]])
    with pytest.raises(ConfigError, match="at the same tokens"):
        depth.stitching([torch.zeros(8, 2)], [torch.zeros(9, 2)])
