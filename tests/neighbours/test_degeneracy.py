"""Interaction basis, counting rule, misvalued features against slower ways; three experiments."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import nn

from localbook import local, runs
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.experiments.neighbours import degeneracy as experiments
from localbook.fit import mlp
from localbook.neighbours import degeneracy


def view(sizes=(5, 8, 6, 3), seed=0, n=200):
    """The first hidden layer of a random perceptron, what follows, outputs and Jacobians."""
    net = mlp(sizes, seed, dtype=torch.float64)
    x = torch.randn(n, sizes[0], generator=torch.Generator().manual_seed(seed)).double()
    f = net[:2](x).detach()
    return net, x, f, *degeneracy.jacobian(net[2:], f)


def gram(J):
    J = J.numpy() if isinstance(J, torch.Tensor) else J
    return np.einsum("nci,ncj->ij", J, J) / len(J)


@settings(max_examples=40)
@given(st.integers(0, 50), st.integers(1, 5), st.booleans())
def test_in_the_basis_activations_have_the_values_and_gradients_the_identity(seed, flat, centre):
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(40, flat)) @ rng.normal(size=(flat, 5)) + 1  # may depend on each other
    J = rng.normal(size=(40, 2, 5)) * rng.integers(0, 2, size=5)
    J[:, :, 0] = 1
    found = degeneracy.basis(f, J, centre=centre)
    hat, slopes = found.features(f), J @ found.back
    np.testing.assert_allclose(hat.T @ hat / 40, np.diag(found.values), atol=1e-9)
    np.testing.assert_allclose(gram(slopes), np.eye(len(found.values)), atol=1e-7)
    np.testing.assert_allclose(found.C @ found.back, np.eye(len(found.values)), atol=1e-7)
    g = f - found.mean
    expected = np.sort(scipy.linalg.eigvals(g.T @ g / 40 @ gram(J)).real)[::-1]
    kept = len(found.values)
    np.testing.assert_allclose(found.values, expected[:kept], atol=1e-8, rtol=1e-6)
    np.testing.assert_allclose(expected[kept:], 0, atol=1e-8)


def test_what_is_left_out_gives_components_eigenvectors_or_neurons():
    _, _, f, _, J = view()
    components = PCA().fit(f.numpy())
    found = degeneracy.basis(f, J, M=False)
    np.testing.assert_allclose(found.values * len(f) / (len(f) - 1), components.explained_variance_)
    np.testing.assert_allclose(abs(found.C @ components.components_.T), np.eye(8), atol=1e-8)
    values, vectors = np.linalg.eigh(gram(J))
    alone = degeneracy.basis(f, J, G=False)
    kept = len(alone.values)
    np.testing.assert_allclose(alone.values, values[::-1][:kept])
    both = abs(alone.C @ vectors[:, ::-1])[:, :kept]
    np.testing.assert_allclose(both, np.diag(np.sqrt(alone.values)), atol=1e-8)
    np.testing.assert_array_equal(degeneracy.basis(f, J, G=False, M=False).C, np.eye(8))


def test_any_invertible_map_of_the_layer_leaves_features_and_values_alone():
    _, _, f, _, J = view()
    A = torch.randn(8, 8, generator=torch.Generator().manual_seed(3)).double()
    one = degeneracy.basis(f, J)
    other = degeneracy.basis(f @ A.T, J @ torch.linalg.inv(A))
    np.testing.assert_allclose(other.values, one.values, rtol=1e-9)
    cosines = (one.features(f) * other.features(f @ A.T)).mean(0) / one.values
    np.testing.assert_allclose(abs(cosines), 1, rtol=1e-8)
    moved = degeneracy.basis(f @ A.T, J, M=False).values
    assert not np.allclose(moved, degeneracy.basis(f, J, M=False).values, rtol=0.1)


def test_a_network_with_doubled_and_rescaled_neurons_has_the_same_features():
    net, x, f, out, J = view()
    twice, by = [*range(8), 0, 1], torch.linspace(0.5, 2, 10).double()
    share = torch.tensor([0.3, 0.3, *[1.0] * 6, 0.7, 0.7]).double()
    other = mlp((5, 10, 6, 3), 1, dtype=torch.float64)
    with torch.no_grad():
        other[0].weight.copy_(net[0].weight[twice] * by[:, None])
        other[0].bias.copy_(net[0].bias[twice] * by)
        other[2].weight.copy_(net[2].weight[:, twice] * share / by)
        other[2].bias.copy_(net[2].bias)
        other[4].load_state_dict(net[4].state_dict())
    again = other[:2](x).detach()
    same, slopes = degeneracy.jacobian(other[2:], again)
    torch.testing.assert_close(same, out)
    one, two = degeneracy.basis(f, J), degeneracy.basis(again, slopes)
    np.testing.assert_allclose(two.values, one.values, rtol=1e-9)
    cosines = (one.features(f) * two.features(again)).mean(0) / one.values
    np.testing.assert_allclose(abs(cosines), 1, rtol=1e-8)


def test_the_constant_owns_what_a_neuron_of_ones_would():
    net, _, f, out, J = view()
    folded = f.clone().requires_grad_()
    one = torch.ones(len(f), 1, dtype=torch.float64, requires_grad=True)
    z = folded @ net[2].weight.T + one * net[2].bias
    scores = torch.relu(z) @ net[4].weight.T + one * net[4].bias
    owed = [torch.autograd.grad(scores[:, k].sum(), one, retain_graph=True)[0] for k in range(3)]
    more, slopes = degeneracy.with_constant(f, out, J)
    torch.testing.assert_close(slopes[:, :, -1], torch.cat(owed, 1))
    torch.testing.assert_close((slopes @ more[:, :, None])[:, :, 0], out)
    assert len(degeneracy.basis(more, slopes).values) == len(degeneracy.basis(f, J).values)


def test_behaviours_square_is_the_hessian_of_the_behavioural_loss():
    net = mlp((2, 3, 2), 1, activation=nn.Tanh, dtype=torch.float64)
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(0)).double()
    shapes = [w.shape for w in net.parameters()]
    flat = torch.cat([w.detach().flatten() for w in net.parameters()])
    was = net(x).detach()

    def loss(theta):
        W, b, V, c = (
            part.view(shape)
            for part, shape in zip(theta.split([s.numel() for s in shapes]), shapes, strict=True)
        )
        return (torch.tanh(x @ W.T + b) @ V.T + c - was).square().sum(1).mean() / 2

    H = torch.autograd.functional.hessian(loss, flat).numpy()
    B = degeneracy.behaviour(net, x)
    np.testing.assert_allclose(B.T @ B / 7, H, atol=1e-10)
    assert degeneracy.rank(B) == np.linalg.matrix_rank(H, tol=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 3), min_size=3, max_size=4), st.booleans())
def test_the_counting_rule_is_a_bound_in_networks_full_of_dependence(seed, sizes, whole):
    rng = np.random.default_rng(seed)
    net = mlp(sizes, 0, dtype=torch.float64)
    for w in net.parameters():
        values = rng.integers(-1, 2, size=w.shape) * (1 if whole else rng.normal(size=w.shape))
        w.data = torch.tensor(values, dtype=torch.float64)
    x = torch.tensor(rng.normal(size=(60, sizes[0])))
    found = degeneracy.counted(net, x)
    assert degeneracy.rank(degeneracy.behaviour(net, x)) <= found.rank <= found.seen


# 6 x 8 x 8 x 4 with biases: 164 parameters. By hand: a class of one costs its scale.
BY_HAND = {
    "nothing": 164 - 16,
    "shut": 164 - 16 - (9 + 4) + 1,
    "open": 164 - 16 - (3 * 4 - 3),
    "five-open": 164 - 9 - (8 + 3) - 4 * 6,  # of five gradients one depends on the others
    "silent": 164 - 9 - 15,
    "parallel": 164 - 16 - 8,  # layer two sees one input less; an orbit of 2 in place of two
    "same-readouts": 164 - 16,
    "flat-inputs": 164 - 16 - 8 * 3,
}


@pytest.mark.parametrize("name", experiments.PLANTED)
def test_planted_networks_have_the_rank_that_the_rule_says(name):
    how, x = experiments.PLANTED[name], np.random.default_rng(0).normal(size=(1500, 6))
    x = torch.tensor(x)
    if how.flat:
        x[:, how.flat :] = x[:, : how.flat].flip(1)
    net = experiments.planted(how, (6, 8, 8, 4), x, 0)
    rule, found = degeneracy.counted(net, x), degeneracy.rank(degeneracy.behaviour(net, x))
    assert found == rule.rank if rule.rarest > 100 else found <= rule.rank
    assert found == BY_HAND.get(name, found)


def test_interactions_are_those_of_running_one_feature_at_a_time():
    net, _, f, _, J = view()
    h = net[2:4](f).detach()
    _, last = degeneracy.jacobian(net[4:], h)
    _, step = degeneracy.jacobian(net[2:4], f)
    below, above = degeneracy.basis(f, J), degeneracy.basis(h, last)
    E = degeneracy.interactions(below, above, f, step)
    for j in (0, 3):
        size = 1e-6 * torch.tensor(below.features(f)[:, j : j + 1])
        nudged = net[2:4](f + size * torch.tensor(below.back[:, j])).detach()
        moved = (above.features(nudged) - above.features(h)) / 1e-6
        np.testing.assert_allclose(E[:, j], np.square(moved).mean(0), rtol=1e-4)
    assert degeneracy.effective_number(np.eye(4)[0]) == 1
    np.testing.assert_allclose(degeneracy.effective_number([[2, 2, 2], [0, 0, 0]]), [3, 0])


def test_misvalued_features_are_the_generalised_eigenvectors():
    _, _, f, _, J = view()
    own, last = J[:, :1], J[:, 1:]
    found = degeneracy.misvalued(f, own, last)
    G = np.cov(f.numpy().T, bias=True)
    difference = sum(
        sign * gram(slopes) / np.trace(G @ gram(slopes)) for sign, slopes in ((1, own), (-1, last))
    )
    expected = scipy.linalg.eigh(difference, np.linalg.inv(G), eigvals_only=True)[::-1]
    np.testing.assert_allclose(found.values, expected, atol=1e-9)
    assert 0 < np.abs(found.values).sum() / 2 < 1
    assert found.values.sum() == pytest.approx(0, abs=1e-12)
    hat = found.features(f)
    np.testing.assert_allclose(hat.T @ hat / len(f), np.eye(8), atol=1e-9)
    same = degeneracy.misvalued(f, own, 3 * own)
    np.testing.assert_allclose(same.values, 0, atol=1e-12)


def test_two_modules_are_parted_by_the_basis_and_the_readers_see_their_own(tmp_path):
    (path,) = run("degeneracy-modules", out=tmp_path)
    for row in runs.read(path).final:
        assert row["turned"]["gradients"] == [1, 1]
        assert row["turned"]["interaction"] == row["stretched"]["interaction"]
        assert row["stretched"]["gradients"][0] < 0.95
        assert all(0.5 <= p <= 1 for view in ("turned", "stretched") for p in row[view]["none"])


def test_ranks_are_recorded_the_same_twice(tmp_path):
    how = {"methods": ["nothing"], "seeds": 1}
    one, two = (runs.read(*run("degeneracy", out=tmp_path / k, **how)) for k in "ab")
    rows = [{k: v for k, v in r.final[0].items() if k != "seconds"} for r in (one, two)]
    assert rows[0] == rows[1]
    assert rows[0]["rank"] == rows[0]["rule"] == [148, 148]


def test_own_heads_are_compared_with_the_last(tmp_path):
    paths = run("degeneracy-digits", out=tmp_path, seeds=1, methods=["sgr", "untrained"])
    sgr, untrained = map(runs.read, paths)
    for trained, drawn in zip(sgr.history, untrained.history, strict=True):
        assert trained["distance"] < drawn["distance"] < 1
        assert trained["excess"][0] > 0 > trained["excess"][1]
        assert trained["edges"]["interaction"][0] < trained["edges"]["rotated"][0]


def test_bad_input_is_refused_in_one_sentence():
    _, x, f, _, J = view()
    with pytest.raises(ConfigError, match="do not fit activations"):
        degeneracy.basis(f[:, :3], J)
    with pytest.raises(ConfigError, match="a layer that is alive"):
        degeneracy.basis(f, 0 * J)
    with pytest.raises(ConfigError, match="train it first"):
        degeneracy.misvalued(f, J, 0 * J)
    with pytest.raises(ConfigError, match="finite matrix"):
        degeneracy.rank([[np.nan]])
    with pytest.raises(ConfigError, match="one ReLU between"):
        degeneracy.counted(mlp((5, 3, 2), 0, activation=nn.Tanh), x)


def test_local_learning_can_be_looked_at_layer_by_layer():
    net = local.IsolatedNetwork([nn.Linear(3, 4)], [nn.Linear(4, 2)]).double()
    f = local.activations(net, torch.ones(5, 3).double())[1]
    out, J = degeneracy.jacobian(net.heads[0], f)
    torch.testing.assert_close(J, net.heads[0].weight.expand(5, -1, -1).detach())
    torch.testing.assert_close(out, net(torch.ones(5, 3).double()).detach())
