"""What can be dropped from a stream: similarity, damage, oracle; three rules that train one."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from localbook import local, runs
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.neighbours import not_all_attention as drop
from localbook.streams import Stream, Sublayer

NAME = "not-all-attention"


def stream_of(sizes, seed=0):
    """Sublayers that add A h, attention and mlp by turns; read by the mean."""
    rng = np.random.default_rng(seed)
    matrices = [torch.tensor(size * rng.normal(size=(4, 4))) for size in sizes]
    parts = [
        Sublayer(("attention", "mlp")[i % 2], i // 2, lambda h, A=A: torch.tanh(h @ A), 16 + i)
        for i, A in enumerate(matrices)
    ]
    return Stream(lambda x: x, parts, lambda h: h.mean(1))


x = torch.tensor(np.random.default_rng(1).normal(size=(3, 5, 4)))


def judge(scores):
    return scores.square().sum().item()


def by_hand(stream, without):
    h = x
    for i, part in enumerate(stream.sublayers):
        h = h if i in without else h + part.add(h)
    return judge(stream.read(h))


SIZES = (0.5, 1.0, 0.2, 0.7, 1.5, 0.1)


@pytest.mark.parametrize("part", drop.PARTS)
def test_damage_and_curve_are_those_of_running_anew(part):
    stream = stream_of(SIZES)
    some, states = drop.groups(stream, part), stream.states(x)
    whole = by_hand(stream, ())
    expected = [by_hand(stream, group) - whole for group in some]
    np.testing.assert_allclose(drop.damage(stream, states, some, judge), expected)
    order = drop.ranked(drop.similarity(states, some))
    gone = [{i for k in order[:n] for i in some[k]} for n in range(len(some) + 1)]
    found = drop.curve(stream, x, some, order, range(len(some) + 1), judge)
    np.testing.assert_allclose(found, [by_hand(stream, g) for g in gone])
    assert drop.parameters(stream, some).sum() == sum(16 + i for group in some for i in group)


def test_similarity_is_the_cosine_with_the_residual_included():
    stream = stream_of(SIZES)
    for part, width in (("mlp", 1), ("block", 2)):
        some, states = drop.groups(stream, part), stream.states(x)
        for S, group in zip(drop.similarity(states, some), some, strict=True):
            a, b = states[group[0]].numpy(), states[group[0] + width].numpy()
            norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
            assert pytest.approx(((a * b).sum(-1) / norms).mean()) == S
    same = Stream(lambda h: h, [Sublayer("mlp", 0, lambda h: 3 * h, 1)], lambda h: h)
    assert drop.similarity(same.states(x), [(0,)]) == pytest.approx(1)  # lengths do not count


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 2.0]), min_size=2, max_size=6), st.integers(0, 99))
def test_the_greedy_oracle_goes_where_the_next_loss_is_least(sizes, seed):
    stream = stream_of(sizes, seed)
    some = drop.groups(stream, "joint")
    order = drop.one_by_one(stream, x, some, len(some), drop.oracle(stream, judge))
    assert sorted(order) == list(range(len(some)))
    for n in range(len(some)):
        before = {some[k][0] for k in order[:n]}
        losses = {k: by_hand(stream, before | {k}) for k in order[n:]}
        assert losses[order[n]] == pytest.approx(min(losses.values()))


def test_greedy_need_not_find_the_best_pair_but_is_never_better():
    stream = stream_of(SIZES, 3)
    some = drop.groups(stream, "joint")
    order = drop.one_by_one(stream, x, some, 2, drop.oracle(stream, judge))
    best = min(by_hand(stream, pair) for pair in combinations(range(len(some)), 2))
    assert by_hand(stream, {some[k][0] for k in order}) >= best - 1e-9


def test_positions_can_keep_what_others_lack():
    stream, where = stream_of(SIZES), torch.tensor([False, True, True, False, True])
    kept = stream.states(x, without=[2, 3], where=where)
    whole = stream.states(x)
    assert torch.equal(kept[4][:, where], whole[2][:, where])
    assert torch.allclose(kept[4][:, ~where], whole[4][:, ~where])


def test_a_stream_gives_the_scores_of_its_vision_transformer():
    vit = local.small_vit(image=16, patch=4, width=24, depth=3, seed=0).eval()
    images = torch.rand(2, 3, 16, 16)
    stream = local.residual_stream(vit)
    torch.testing.assert_close(stream(images), vit(images))
    blocks = sum(w.numel() for block in list(vit)[1:4] for w in block.parameters())
    assert sum(s.parameters for s in stream.sublayers) == blocks
    with pytest.raises(ConfigError, match="only networks of small_vit"):
        local.residual_stream(torch.nn.Linear(2, 2))


def test_shuffled_weights_keep_their_numbers_and_lose_their_places():
    w = {"a": torch.arange(12.0).view(3, 4), "norm": torch.arange(3.0)}
    found = drop.shuffled(w, 0)
    assert torch.equal(found["a"].flatten().sort()[0], w["a"].flatten())
    assert not torch.equal(found["a"], w["a"])
    assert torch.equal(found["norm"], w["norm"])


def test_next_token_loss_of_even_scores_is_the_logarithm_of_the_vocabulary():
    tokens = torch.tensor([[0, 1, 2]])
    assert drop.next_token_loss(tokens)(torch.zeros(1, 3, 7)) == pytest.approx(np.log(7))


def test_three_rules_train_and_are_looked_at_the_same_way_each_time(tmp_path):
    one = [runs.read(p) for p in run(NAME, out=tmp_path / "a", seeds=1)]
    (again,) = (runs.read(p) for p in run(NAME, out=tmp_path / "b", seeds=1, methods=["local"]))
    assert again.history == one[1].history
    for record in one:
        row = record.final[0]
        assert row["block_similarity"][0] == pytest.approx(row["test_accuracy"], abs=1e-3)
        assert row["block_similarity"][-1] == row["block_random"][-1]  # nothing is left of either
        assert len(row["heads"]) == len(row["probes"]) - 1 == 3
        assert {h["epoch"] for h in record.history} == {0, 4}


def test_bad_input_is_refused_in_one_sentence():
    stream = stream_of(SIZES)
    some = drop.groups(stream, "block")
    with pytest.raises(ConfigError, match="choose one of attention, mlp, block, joint"):
        drop.groups(stream, "heads")
    with pytest.raises(ConfigError, match="the order has 3 groups"):
        drop.curve(stream, x, some, [0, 1, 2], [4], judge)
    with pytest.raises(ConfigError, match="at most all"):
        drop.one_by_one(stream, x, some, 4, drop.oracle(stream, judge))
    with pytest.raises(ConfigError, match="sublayers are 0 to 5"):
        stream(x, without=[6])
