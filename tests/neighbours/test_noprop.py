"""NoProp: posteriors beside numpy, schedules beside differences, walks and denoisers by Bayes."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.local import IsolatedNetwork, noprop_network, noprop_posterior
from localbook.neighbours import noprop

NAME = "noprop"
shares = st.floats(1e-3, 1 - 1e-3)


@settings(deadline=None, derandomize=True)
@given(shares, shares, st.floats(-3, 3), st.floats(-3, 3))
def test_a_step_is_the_gaussian_conditioned_on_what_is_known(one, other, u, z):
    before, after = sorted((one, other))
    a, b, c = noprop_posterior(before, after)
    # z_t = √ᾱ_t u + √(1 - ᾱ_t) ε and z_{t-1} = √α z_t + √(1 - α) ε', jointly, for a given u
    kept = before / after
    mean = np.array([np.sqrt(after), np.sqrt(before)]) * u
    cov = np.array([[1 - after, np.sqrt(kept) * (1 - after)], [0, 1 - before]])
    cov[1, 0] = cov[0, 1]
    gain = cov[0, 1] / cov[1, 1]
    assert a * u + b * z == pytest.approx(mean[0] + gain * (z - mean[1]), abs=1e-9)
    assert c == pytest.approx(cov[0, 0] - gain * cov[1, 0], abs=1e-12)


def moved(seed, spread):
    schedule = noprop.NoiseSchedule().double()
    draw = torch.Generator().manual_seed(seed)
    for p in schedule.parameters():
        p.data += spread * torch.randn(p.shape, generator=draw, dtype=torch.float64)
    schedule.ends.data = schedule.ends.sort().values + torch.tensor([-0.1, 0.1])
    return schedule


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1.0, 4.0]))
def test_every_schedule_rises_between_its_ends(seed, spread):
    schedule = moved(seed, spread)
    levels = schedule.levels(50)
    assert all(after >= before for before, after in pairwise(levels))
    ends = torch.sigmoid(-schedule.ends.flip(0).clamp(-6, 6))
    assert torch.allclose(torch.tensor([levels[0], levels[-1]]).double(), ends)


def test_the_slope_of_snr_is_its_difference_quotient():
    t, h = torch.linspace(0.01, 0.99, 50).double(), 1e-6
    for seed in range(5):
        schedule = moved(seed, 1.0)
        up, down = (torch.exp(-schedule(t + d)[0]) for d in (h, -h))
        assert torch.allclose(schedule(t)[1], (up - down) / (2 * h), rtol=1e-5)


def test_the_loss_of_a_denoiser_does_not_depend_on_the_schedule_between_the_ends():
    # ∫ SNR' e(SNR) dt is an integral over SNR, here for e(v) = exp(-v) (Kingma et al., 2021)
    totals = []
    for seed in range(4):
        schedule = moved(seed, 1.0)
        schedule.ends.data = torch.tensor([-3.0, 3.0]).double()
        t = torch.linspace(0, 1, 20_001).double()
        gamma, rise = schedule(t)
        totals.append(torch.trapezoid(rise * torch.exp(-torch.exp(-gamma)), t).item())
    expected = np.exp(-np.exp(-3.0)) - np.exp(-np.exp(3.0))
    assert totals == pytest.approx([expected] * 4, rel=1e-5)


def test_the_mean_path_is_a_vote_with_the_weights_of_the_losses():
    levels = [0.02, 0.1, 0.5, 0.7, 0.97]
    snr = np.array(levels) / (1 - np.array(levels))
    said, z0 = torch.randn(4, 3, 5).double(), torch.randn(3, 5).double()
    z = noprop.walk(lambda z, i: said[i], z0, levels)[-1]
    votes = torch.tensor(np.diff(snr) / snr[-1])
    expected = torch.einsum("t,tnd->nd", votes, said) + snr[0] / snr[-1] * z0 / levels[0] ** 0.5
    assert torch.allclose(z, levels[-1] ** 0.5 * expected)


def test_every_path_keeps_the_marginals_for_the_right_guess():
    torch.manual_seed(0)
    levels, u = [0.1, 0.4, 0.8], torch.tensor([[1.0, -1.0]]).expand(200_000, 2)
    start = 0.1**0.5 * u + 0.9**0.5 * torch.randn_like(u)
    for path in ("stochastic", "ode"):
        z = noprop.walk(lambda z, i: u, start, levels, path)[-1]
        assert torch.allclose(z.mean(0), 0.8**0.5 * u[0], atol=0.01)
        assert torch.allclose(z.var(0), torch.tensor(0.2), atol=0.01)
    end = noprop.flow(lambda z, i: (u - z) / (1 - i / 7), torch.randn_like(u), 7)[-1]
    assert torch.allclose(end, u, atol=1e-5)


P = torch.tensor([0.5, 0.3, 0.2]).double()


def test_the_ideal_denoiser_is_bayes_rule():
    draw = np.random.default_rng(0)
    z = torch.tensor(draw.normal(size=(4, 3)))
    for share in (0.1, 0.9):
        found = noprop.ideal(P.log()[None], [share])(z, 0)
        for row, point in zip(found, z.numpy(), strict=True):
            far = ((point - share**0.5 * np.eye(3)) ** 2).sum(1)
            likely = P.numpy() * np.exp(-far / 2 / (1 - share))
            assert np.allclose(row, likely / sum(likely))
    t, steps = 3 / 7, 7
    v = noprop.ideal_velocity(P.log()[None], steps)(z, 3)
    far = ((z.numpy()[:, None] - t * np.eye(3)) ** 2).sum(2)
    likely = P.numpy() * np.exp(-far / 2 / (1 - t) ** 2)
    best = likely / likely.sum(1, keepdims=True)
    assert np.allclose(v, best - (z.numpy() - t * best) / (1 - t))


def test_ideal_walks_keep_the_best_class_on_the_mean_path_and_draw_one_from_noise():
    torch.manual_seed(0)
    log_p = P.log().expand(20_000, 3)
    levels = torch.sigmoid(torch.linspace(-6, 6, 101).double()).tolist()
    best, noise = noprop.ideal(log_p, levels), torch.randn(20_000, 3).double()
    assert (noprop.walk(best, 0 * noise, levels)[-1].argmax(1) == 0).all()
    ends = {p: noprop.walk(best, noise, levels, p)[-1] for p in ("stochastic", "ode")}
    ends["flow"] = noprop.flow(noprop.ideal_velocity(log_p, 100), noise, 100)[-1]
    for z in ends.values():
        drawn = z.argmax(1).bincount(minlength=3) / len(z)
        assert torch.allclose(drawn.double(), P, atol=0.03)
    once = noprop.flow(noprop.ideal_velocity(log_p, 1), noise, 1)[-1]
    assert (once.argmax(1) == 0).all()


def batch(n=6, classes=3):
    x = torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return x.double(), torch.arange(n) % classes


def net_of(schedule):
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    net = noprop.network(noprop.TimeBlock(trunk, 5, 3, schedule)).double()
    net.local_modules[0].embedding.requires_grad_()
    return net


def grads(net):
    return {name: p.grad for name, p in net.named_parameters()}


def test_gradients_of_ct_are_those_of_its_bound():
    net, (x, y) = net_of(moved(1, 0.5)), batch()
    block = net.local_modules[0]
    torch.manual_seed(3)
    noprop.ContinuousTime(0.2).gradients(net, x, y)
    found = grads(net)
    torch.manual_seed(3)
    u, t = block.embedding[y], torch.rand(6).double()

    def under_noise(at):
        share = torch.sigmoid(-block.schedule(at)[0])[:, None]
        return share.sqrt() * u + (1 - share).sqrt() * torch.randn_like(u), share

    z, share = under_noise(t)
    error = (block.said(block.trunk(x), z, t) - u).square().sum(1)
    loss = 0.1 * (block.schedule(t)[1] * error).mean()
    low, high = torch.zeros(1).double(), torch.ones(1).double()
    loss = loss + F.cross_entropy(net.heads[0](under_noise(high)[0]), y)
    share = torch.sigmoid(-block.schedule(low)[0])
    q = torch.distributions.Normal(share.sqrt() * u, (1 - share).sqrt())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
    names, weights = zip(*net.named_parameters(), strict=True)
    expected = torch.autograd.grad(loss + kl.sum(1).mean(), weights)
    for name, value in zip(names, expected, strict=True):
        assert torch.allclose(found[name], value, atol=1e-10), name
    assert all(value.abs().sum() > 0 for value in expected)


def test_gradients_of_flow_matching_are_those_of_its_loss():
    net, (x, y) = net_of(None), batch()
    block = net.local_modules[0]
    torch.manual_seed(3)
    loss = noprop.FlowMatching().gradients(net, x, y)
    found = grads(net)
    torch.manual_seed(3)
    u, t = block.embedding[y], torch.rand(6, 1).double()
    z0 = torch.randn_like(u)
    z = t * u + (1 - t) * z0
    v = block.said(block.trunk(x), z, t[:, 0])
    expected = ((v - u + z0) ** 2).sum() / 6
    assert loss.item() == pytest.approx(expected.item())
    read = F.cross_entropy(net.heads[0](z + (1 - t) * v), y)
    names, weights = zip(*net.named_parameters(), strict=True)
    for name, value in zip(names, torch.autograd.grad(expected + read, weights), strict=True):
        assert torch.allclose(found[name], value, atol=1e-10), name


def test_walks_of_a_network_are_seeded_and_the_mean_path_is_what_a_call_takes():
    x, _ = batch()
    trunks = [nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).double() for _ in range(3)]
    dt, ct = noprop_network(trunks, x, 3, seed=0).eval(), net_of(noprop.NoiseSchedule()).eval()
    for net in (dt, ct):
        mean, again, other = (noprop.states(net, x, 20, "mean", seed)[-1] for seed in (0, 0, 1))
        assert torch.equal(mean, again)
        assert torch.equal(mean, other)
        one, two = (noprop.states(net, x, 20, "stochastic", seed)[-1] for seed in (0, 1))
        assert not torch.allclose(one, two)
        state = net(x) if net is ct else net.all_scores(x)[-1]
        assert torch.equal(noprop.nearest(net, mean), state.argmax(1))
    assert len(noprop.states(dt, x, 20, "mean", 0)) == 4
    assert len(noprop.states(ct, x, 20, "ode", 0)) == 21


def test_blocks_learn_and_without_the_image_they_do_not(records):
    for method, low, high in (("dt", 0.8, 1), ("no-z", 0.8, 1), ("no-image", 0, 0.25)):
        for row in records[method].final:
            assert low < row["by_steps"]["mean"][-1] <= high
    assert all(row["test_accuracy"] > 0.6 for row in records["ct"].final)


def test_a_chain_without_training_classifies_on_the_mean_path_and_samples_from_noise(records):
    for row in records["bp"].final:
        assert set(row["ideal"]["mean"]) == {row["test_accuracy"]}
        assert row["ideal"]["flow"][0] == row["test_accuracy"]
        for path in ("stochastic", "ode", "flow"):
            assert abs(row["ideal"][path][-1] - row["sampled"]) < 0.08


def test_runs_repeat(records, tmp_path):
    again = runs.read(run(NAME, methods=["ct"], out=tmp_path)[0])
    drop = {"seconds"}
    for one, other in zip(again.final, records["ct"].final, strict=True):
        assert {k: one[k] for k in one.keys() - drop} == {k: other[k] for k in other.keys() - drop}


STRANGE = IsolatedNetwork([nn.Linear(2, 3)], [nn.Linear(3, 3)])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: noprop_posterior(0.5, 0.4), "must not fall, and lie below 1"),
        (lambda: noprop_posterior(0.5, 1.0), "must not fall, and lie below 1"),
        (lambda: noprop.walk(lambda z, i: z, torch.zeros(1, 3), [0.1, 0.2], "heun"), "choose mean"),
        (lambda: noprop.ContinuousTime().gradients(net_of(None), *batch()), "CT trains a network"),
        (
            lambda: noprop.FlowMatching().gradients(net_of(noprop.NoiseSchedule()), *batch()),
            "FM trains a network",
        ),
        (lambda: noprop.states(STRANGE, torch.zeros(1, 2), 2, "mean", 0), "of NoPropBlocks"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
