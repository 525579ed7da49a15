"""Layers removed and shrunk by policies: gradients by enumeration, searches in tables."""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.experiments.neighbours.n2n import searches, students
from localbook.fit import fit, mlp
from localbook.neighbours import n2n

WIDTHS = (20, 16, 12)


def drawn_table(layers=4, seed=0, teachers=3, choices=(0.0, 1.0)):
    """Layers with prices of their own, which make greedy steps exact, and a little noise."""
    rng = np.random.default_rng(seed)
    widths = (8, *rng.integers(10, 60, layers).tolist(), 4)
    prices = rng.normal(size=(layers, len(choices)))
    places = n2n.actions(len(choices), layers)
    value = prices[np.arange(layers), places].sum(1)
    noise = 0.01 * rng.normal(size=(teachers, 2, len(places)))
    return n2n.Table(widths, choices, value + noise)


def test_students_have_the_numbers_that_torch_counts():
    choices = (0.0, 0.25, 0.6, 1.0)
    C = n2n.compression((64, 50, 12, 10), choices)
    numbers = sum(p.numel() for p in mlp((64, 50, 12, 10), 0).parameters())
    for row, value in zip(n2n.actions(4, 2), C, strict=True):
        kept = n2n.hidden((50, 12), [choices[i] for i in row])
        assert len(kept) == np.count_nonzero(row)
        own = sum(p.numel() for p in mlp((64, *kept, 10), 0).parameters())
        assert value == pytest.approx(1 - own / numbers)
    assert n2n.hidden((50, 12), (0.25, 0.25)) == (12, 10)  # never below ten


def test_rewards_are_the_papers_and_a_student_that_is_no_smaller_is_punished():
    C = n2n.compression((64, 48, 12, 60, 10), (0.0, 1.0))
    assert (C[[7, 5]] <= 0).all()  # nothing removed; and without the narrow layer it is larger
    found = n2n.reward(C, np.full(8, 0.5))
    assert found[[7, 5]].tolist() == [-1, -1]
    assert found[0] == pytest.approx(0.5 * (1 - (1 - C[0]) ** 2))


def test_a_stack_is_trained_as_its_networks_alone():
    draw = torch.Generator().manual_seed(0)
    x, logits = torch.randn(50, 6, generator=draw), torch.randn(50, 3, 4, generator=draw)
    how = {"epochs": 3, "batch_size": 16, "lr": 0.01, "seed": 5}
    for target in (logits, logits.argmax(2)):
        stack, alone = (students.Stack((6, 8, 7, 4), (1, 2, 3)) for _ in range(2))
        students.train(stack, x, target, **how)
        draw.manual_seed(5)
        for r in range(3):
            order, net = torch.randperm(50, generator=draw), mlp((6, 8, 7, 4), 0)
            for layer, W, b in zip(net[::2], alone.W, alone.b, strict=True):
                layer.load_state_dict({"weight": W[r].T, "bias": b[r, 0]})
            adam = partial(torch.optim.Adam, weight_decay=5e-4)
            loss = torch.nn.MSELoss() if target.ndim == 3 else torch.nn.CrossEntropyLoss()
            fit(net, x[order], target[order, r], loss=loss, optimiser=adam, **how)
            assert torch.allclose(net(x), stack.all(x)[:, r], atol=1e-4)
        right = (stack.all(x).argmax(2) == 2).sum(0).tolist()
        assert stack.right(x, torch.full((50,), 2)) == right


def policies():
    free = n2n.Free(3)
    torch.nn.init.normal_(free.logits, generator=torch.Generator().manual_seed(3))
    return [(free, 2, WIDTHS), (n2n.Removal(0), 2, WIDTHS), (n2n.Shrinkage(0), 11, WIDTHS[:2])]


@pytest.mark.parametrize(("policy", "k", "widths"), policies(), ids=["free", "both", "one"])
def test_the_estimate_expects_the_gradient_that_finite_differences_find(policy, k, widths):
    policy.double()
    every = n2n.actions(k, len(widths))
    R = np.random.default_rng(0).normal(size=len(every))
    weights = list(policy.parameters())

    def J():
        with torch.no_grad():
            pi = policy.log_prob(widths, torch.tensor(every)).exp()
            assert pi.sum().item() == pytest.approx(1)
            return float(pi.numpy() @ R)

    assert n2n.expected(policy, widths, every, R).item() == pytest.approx(J())
    log_prob = policy.log_prob(widths, torch.tensor(every))
    N = 2 if k == 2 else 1  # pairs of 121 students are too many
    pairs = torch.tensor(list(product(range(len(every)), repeat=N)))
    chance = log_prob.detach().exp()[pairs].prod(1)
    gradients = []
    for own in (True, False):
        found = sum(
            p * n2n.surrogate(log_prob[pair], R[pair.numpy()], 0.7, own=own)
            for p, pair in zip(chance, pairs, strict=True)
        )
        gradients.append(torch.autograd.grad(-found, weights, retain_graph=True))
    for weight, own, shared in list(zip(weights, *gradients, strict=True))[::3]:
        flat, at = weight.detach().view(-1), int(own.abs().argmax())
        ends = []
        for step in (1e-5, -2e-5):
            flat[at] += step
            ends.append(J())
        flat[at] += 1e-5
        slope = (ends[0] - ends[1]) / 2e-5
        assert own.view(-1)[at].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)
        assert torch.allclose(shared * N, own)


def test_students_are_drawn_as_often_as_their_probability_says():
    draw = torch.Generator().manual_seed(0)
    for policy, k, widths in policies():
        every = torch.tensor(n2n.actions(k, len(widths)))
        p = policy.float().log_prob(widths, every).exp().detach().numpy()
        found = policy.draw(widths, 20_000, draw).numpy()
        rows = np.ravel_multi_index(found.T, (k,) * len(widths))
        share = np.bincount(rows, minlength=len(every)) / 20_000
        assert (np.abs(share - p) < 5 * np.sqrt(p / 20_000) + 1e-4).all()


def test_shrinkage_looks_at_the_factor_before_and_removal_at_both_sides():
    shrink, remove = n2n.Shrinkage(1), n2n.Removal(1)
    small, large = (shrink(WIDTHS, torch.tensor([[a, 0, 0]])) for a in (0, 10))
    assert torch.equal(small[:, 0], large[:, 0])
    assert not torch.allclose(small[:, 1:], large[:, 1:])
    none = torch.zeros(1, 3).long()
    assert not torch.allclose(remove(WIDTHS, none)[:, 0], remove((20, 16, 40), none)[:, 0])


@settings(deadline=None, derandomize=True, max_examples=40)
@given(arrays(float, 8, elements=st.floats(-1, 1, allow_subnormal=False)))
def test_a_policy_of_independent_layers_rests_where_no_single_flip_helps(R):
    R = R.round(3)  # so that ties are ties
    every = n2n.actions(2, 3)
    for m, value in zip(every, R, strict=True):
        flips = [R[int("".join(map(str, m ^ np.eye(3, dtype=int)[i])), 2)] for i in range(3)]
        near = []
        for moved in product((0, 1e-5), repeat=3):
            p = np.abs(m - np.array(moved))
            near.append(np.prod(np.where(every, p, 1 - p), axis=1) @ R)
        rests = max(near[1:]) < near[0] - 1e-9
        assert near[0] == pytest.approx(value)
        assert rests == (max(flips) < value)


@pytest.mark.parametrize("own", [True, False])
def test_reinforce_raises_the_expected_reward(own):
    table = drawn_table(layers=6)
    widths, quality = table.widths[1:-1], table.quality(0)
    policy, seen = n2n.Removal(0), []
    J = [n2n.expected(policy, widths, table.actions, quality).item()]
    actions, rewards = n2n.reinforce(
        policy, widths, table.training(0, 0), students=300, lr=0.03, seed=0, own=own,
        after=seen.append,
    )  # fmt: skip
    J.append(n2n.expected(policy, widths, table.actions, quality).item())
    assert J[1] > J[0] + 0.5 * (quality.max() - J[0])
    assert actions.shape == (300, 6)
    assert seen == list(range(5, 301, 5))
    own_rewards = table.rewards[0][:, [table.number(a) for a in actions]]
    assert (np.abs(own_rewards - rewards).min(axis=0) == 0).all()


def test_quality_is_what_the_other_teachers_say():
    table = drawn_table()
    again = table.rewards.copy()
    again[1] = 9.0
    assert np.array_equal(replace(table, rewards=again).quality(1), table.quality(1))
    assert not np.array_equal(replace(table, rewards=again).quality(0), table.quality(0))


def spent(search, table, students, **how):
    trial = searches.Trial(table, 0, 3, students)
    with pytest.raises(searches.SpentError):
        search(trial, np.random.default_rng(0), {"random": False, **how})
    assert len(trial.tried) == students
    return trial


def test_rivals_spend_what_they_have_and_do_what_they_are_called():
    table = drawn_table(layers=5)
    best = int(table.quality(0).argmax())
    assert sorted(spent(searches.random_search, table, 32).tried) == list(range(32))
    steps = spent(searches.greedy, table, 5 + 4 + 3 + 2 + 1)
    assert abs(table.quality(0)[steps.best] - table.quality(0)[best]) < 0.03
    assert [bin(n).count("1") for n in steps.tried] == [4] * 5 + [3] * 4 + [2] * 3 + [1, 1, 0]
    child = spent(searches.evolution, table, 200, population=8, sample=4)
    means = [np.mean(child.rewards[part]) for part in (slice(0, 8), slice(-50, None))]
    assert means[1] > means[0]


@pytest.mark.parametrize("random", [True, False])
def test_two_stages_remove_first_and_then_shrink_what_is_left(random):
    table = drawn_table(layers=2, choices=students.CHOICES)
    trial = searches.Trial(table, 0, 0, 60)
    how = {"random": random, "lr": 0.03}
    searches.in_stages(trial, np.random.default_rng(0), how)
    first, second = (table.actions[part] for part in (trial.tried[:30], trial.tried[30:]))
    assert set(first.ravel().tolist()) <= {0, 7}
    kept = table.actions[trial.tried[int(np.argmax(trial.rewards[:30]))]] > 0
    assert ((second > 0) == kept).all()
    assert len(second) == 30 * kept.any()


def test_scrambled_rewards_are_those_of_others():
    table = drawn_table()
    other = searches.scrambled(table, 0)
    assert not np.array_equal(other.rewards, table.rewards)
    assert np.array_equal(np.sort(other.rewards, axis=2), np.sort(table.rewards, axis=2))


def test_a_rate_is_all_that_the_control_of_transfer_knows():
    small = drawn_table(layers=5)
    widths, none = small.widths[1:-1], torch.zeros(1, 5).long()
    start = searches.METHODS["transfer-rate"]
    rate, whole, fresh = (
        searches.started(replace(start, start=kind), small, 0, 0.02, 50)
        for kind in ("rate", "policy", "")
    )
    keep = [policy(widths, none)[0, :, 1].exp().mean().item() for policy in (rate, whole)]
    assert keep[0] == pytest.approx(keep[1], abs=0.02)
    same = [torch.equal(a, b) for a, b in zip(rate.parameters(), fresh.parameters(), strict=True)]
    assert same == [True] * (len(same) - 1) + [False]  # all but the head's bias
    assert not torch.equal(whole.head.weight, fresh.head.weight)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    paths = run("n2n-students", out=tmp_path_factory.mktemp("students"))
    return {record.method: record for record in map(runs.read, paths)}


def test_students_are_trained_twice_to_equal_tables(trained, tmp_path):
    again = runs.read(run("n2n-students", methods=["removal"], out=tmp_path)[0])
    assert again.history == trained["removal"].history
    table = students.table(trained["removal"])
    assert table.rewards.shape == (2, 2, 8)
    assert (table.rewards[..., -1] == -1).all()  # the teacher's own layers
    assert students.table(trained["both"]).rewards.shape == (2, 2, 8)
    seen, teacher = students.accuracies(trained["removal"], "test")
    row = trained["removal"].history[1]
    assert seen[1, 0].tolist() == pytest.approx(np.array(row["test"]) / 200)
    assert teacher.tolist() == [r["test_accuracy"] for r in trained["removal"].final]


def test_searches_in_the_recorded_tables_repeat_and_the_policy_learns(tmp_path):
    own = replace(setting("n2n", "quick"), methods=("policy", "greedy", "both-policy"), seeds=2)
    one, two = (
        {r.method: r for r in map(runs.read, run("n2n", setting=own, out=tmp_path / name))}
        for name in "ab"
    )
    for method, record in one.items():
        assert two[method].history == record.history
        for row in record.final:
            assert 0 < row["best_20"] <= 1
            assert row["mean_50"] <= 1
    learned = [row["expected"] for row in one["policy"].history]
    assert learned[2] > learned[0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: n2n.Table((8, 9, 4), (0, 1), np.zeros((2, 1, 3))), r"\(teachers, trainings, 2\)"),
        (lambda: n2n.Table((8, 9, 4), (0, 1), np.zeros((1, 1, 2))), "two"),
        (lambda: n2n.reinforce(n2n.Free(2), (9, 9), sum, students=12, lr=1, seed=0), "multiple"),
        (lambda: n2n.reinforce(n2n.Free(2), (9, 9), sum, students=10, lr=0, seed=0), "a rate"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
