"""FinalMLP: each layer beside its formula, what streams can and cannot say, and drawn clicks."""

import sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import EXPERIMENTS, run, setting
from localbook.neighbours import finalmlp

NAME = "finalmlp"
SIZES = (5, 3, 4)
ROWS = {"train": 300, "val": 200, "test": 200}


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return torch.tensor(np.stack([rng.integers(n, size=40) for n in SIZES], axis=1))


def streams(widths=(4, 6), **options):
    """A network in evaluation mode whose every weight and statistic has been moved."""
    torch.manual_seed(0)
    net = finalmlp.Streams(SIZES, 2, widths, **options).eval()
    stats = [value for name, value in net.named_buffers() if "running" in name]
    for part in (*net.parameters(), *stats):
        part.data += torch.rand_like(part) / 2
    return net


def test_the_fusion_is_the_sum_over_heads_of_bilinear_forms():
    torch.manual_seed(1)
    fusion = finalmlp.Fusion(6, 9, 3)
    assert fusion.W.numel() == 6 * 9 // 3
    o1, o2 = torch.randn(5, 6), torch.randn(5, 9)
    for n, value in enumerate(fusion(o1, o2)):
        heads = [
            o1[n, 2 * j : 2 * j + 2] @ fusion.W[j] @ o2[n, 3 * j : 3 * j + 3] for j in range(3)
        ]
        assert torch.isclose(value, sum(heads), atol=1e-6)


def test_the_logit_is_that_of_the_formula(x):
    net = streams(gates=[[0, 2], [1]], heads=2)
    e = net.fields.table.weight[x + torch.tensor([0, 5, 8])].flatten(1)
    logit = torch.zeros(len(x))
    outs = []
    for gate, stream, end, fields in zip(
        net.gates, net.streams, net.ends, ([0, 2], [1]), strict=True
    ):
        first = np.cumsum([0, *(SIZES[f] for f in fields)])[:-1]
        c = torch.cat(
            [gate.context.table.weight[x[:, f] + k] for f, k in zip(fields, first, strict=True)],
            dim=1,
        )
        h = 2 / (1 + torch.exp(-gate.mlp(c))) * e
        z = h @ stream[0].weight.T + stream[0].bias
        z = (z - stream[1].running_mean) / torch.sqrt(stream[1].running_var + stream[1].eps)
        outs.append(torch.relu(z * stream[1].weight + stream[1].bias))
        logit += outs[-1] @ end.weight[0] + end.bias
    assert torch.allclose(net(x), logit + net.fusion(*outs), atol=1e-5)


def test_a_factorisation_machine_is_the_sum_over_all_pairs(x):
    torch.manual_seed(0)
    net = finalmlp.FM(SIZES, 3)
    torch.nn.init.normal_(net.fields.table.weight)
    a, v = net.fields(x).split([1, 3], dim=2)
    pairs = sum((v[:, f] * v[:, g]).sum(1) for f, g in combinations(range(3), 2))
    assert torch.allclose(net(x), a.sum((1, 2)) + pairs, atol=1e-5)
    flat = finalmlp.FM(SIZES, 0)
    assert torch.allclose(flat(x), flat.fields(x).sum((1, 2)), atol=1e-6)


def test_a_cross_layer_multiplies_by_the_embeddings():
    torch.manual_seed(0)
    cross, e = finalmlp.Cross(4, 2), torch.randn(7, 4)
    one = e * (e @ cross.layers[0].weight.T + cross.layers[0].bias) + e
    two = e * (one @ cross.layers[1].weight.T + cross.layers[1].bias) + one
    assert torch.allclose(cross(e), two, atol=1e-6)


def test_a_dual_mlp_is_one_mlp_of_the_summed_width(x):
    dual, one = streams(), streams(widths=(10,))
    one.fields.load_state_dict(dual.fields.state_dict())
    for k in (0, 1):  # the affine layer, and its normalisation
        for name, value in one.streams[0][k].state_dict().items():
            if value.ndim:
                value.copy_(torch.cat([s[k].state_dict()[name] for s in dual.streams]))
    one.ends[0].weight.data = torch.cat([end.weight for end in dual.ends], dim=1)
    one.ends[0].bias.data = sum(end.bias for end in dual.ends)
    assert torch.allclose(dual(x), one(x), atol=1e-6)
    assert sum(p.numel() for p in dual.parameters()) == sum(p.numel() for p in one.parameters()) + 1


@pytest.mark.parametrize("heads", [0, 2])
def test_towers_without_fusion_let_nothing_of_user_and_item_interact(heads):
    net = streams(towers=[[0], [1, 2]], heads=heads)
    u, v, i, j = [1], [4], [0, 2], [2, 1]
    rows = torch.tensor([a + b for a, b in ((u, i), (v, j), (u, j), (v, i))])
    together = float(net(rows).detach() @ torch.tensor([1.0, 1, -1, -1]))
    assert (abs(together) > 1e-3) == (heads > 0)


def test_the_rolled_fusion_takes_the_second_stream_of_the_row_before(x):
    net, rolled = streams(heads=2), streams(heads=2, rolled=True)
    o1, o2 = net.outputs(x)
    apart = rolled(x) - net(x)
    assert torch.allclose(apart, net.fusion(o1, o2.roll(1, 0)) - net.fusion(o1, o2), atol=1e-5)


def test_streams_that_learn_apart_have_a_loss_each(x):
    net = streams(apart=True)
    assert torch.allclose(2 * net(x), streams()(x), atol=1e-6)
    assert net.train()(x).shape == (40, 2)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_and_log_loss_are_scikit_learns_with_ties(rows):
    logit, y = np.array(rows, dtype=float).T
    if 0 < y.sum() < len(y):
        assert finalmlp.auc(logit, y) == pytest.approx(metrics.roc_auc_score(y, logit))
        expected = metrics.log_loss(y, 1 / (1 + np.exp(-logit)))
        assert finalmlp.log_loss(logit, y) == pytest.approx(expected)
    else:
        with pytest.raises(ConfigError, match="needs a click and a row without one"):
            finalmlp.auc(logit, y)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_drawn_clicks_have_the_law_of_their_logit_and_interact_within_pairs_only(gamma):
    clicks = finalmlp.click_model({"all": 60_000}, pairs=2, levels=3, gamma=gamma, seed=3)["all"]
    x, y, p = clicks.x.numpy(), clicks.y.numpy(), 1 / (1 + np.exp(-clicks.logit))
    for cut in (p < 0.3, (p > 0.4) & (p < 0.6), p > 0.7):
        assert abs(y[cut].mean() - p[cut].mean()) < 4 * 0.5 / np.sqrt(max(cut.sum(), 1))
    table = np.zeros((3, 3, 3, 3))
    table[tuple(x.T)] = clicks.logit

    def mixed(f, g):  # second differences along two fields
        return np.abs(np.diff(np.diff(table, axis=f), axis=g)).max()

    assert max(mixed(0, 1), mixed(2, 3), mixed(0, 3), mixed(1, 2)) < 1e-9
    assert (min(mixed(0, 2), mixed(1, 3)) > 0.1) == (gamma > 0)


def test_training_keeps_the_best_epoch_and_penalises_embeddings_only():
    splits = finalmlp.click_model(ROWS, pairs=2, levels=3, gamma=1.0, seed=0)
    how = {"epochs": 4, "batch_size": 100, "lr": 0.05, "seed": 0}
    sizes = []
    for l2 in (0.0, 10.0):
        torch.manual_seed(0)
        net = finalmlp.Streams(splits["val"].sizes, 2, (4, 4), heads=2)
        epoch, best = finalmlp.train(net, splits, l2=l2, **how)
        assert 1 <= epoch <= 4
        val = splits["val"]
        assert finalmlp.auc(finalmlp.logits(net, val), val.y.numpy()) == pytest.approx(best)
        sizes.append([p.detach().norm() for p in (net.fields.table.weight, net.fusion.W)])
    assert sizes[1][0] < 0.4 * sizes[0][0]
    assert sizes[1][1] > 0.6 * sizes[0][1]


def at(records, method, gamma):
    return np.array([r["test_auc"] for r in records[method].history if r["gamma"] == gamma])


def test_where_streams_see_one_side_each_only_a_fusion_finds_products(records):
    assert (at(records, "towers-fused", 2.0) > at(records, "towers", 2.0) + 0.05).all()
    assert np.abs(at(records, "towers", 2.0) - at(records, "logistic", 2.0)).max() < 0.03
    assert (at(records, "towers-fused", 0.0) < at(records, "towers", 0.0) + 0.01).all()


def test_where_streams_see_everything_they_find_products_without_it(records):
    for method in ("mlp", "dual"):
        assert (at(records, method, 2.0) > at(records, "towers", 2.0) + 0.05).all()
        assert np.abs(at(records, method, 2.0) - at(records, "fused", 2.0)).max() < 0.05
    for record in records.values():
        assert all(row["test_auc"] < row["bayes_auc"] + 0.002 for row in record.history)


def test_runs_repeat(records, tmp_path):
    again = runs.read(run(NAME, methods=["towers"], out=tmp_path)[0])
    assert again.history == records["towers"].history


TABLES = {
    "user": "id\tage\tgender\tjob\tzip\n1\t24\tM\twriter\t85711\n2\t53\tF\tother\t94043\n",
    "item": 'item_id\ttitle\tyear\tclass\n7\tOne "Two\t1995\tDrama\n9\tB\t1997\tDrama War\n',
    "inter": "user_id\titem_id\trating\ttime\n"
    + "1\t7\t4\t0\n2\t9\t3\t0\n1\t9\t5\t0\n2\t7\t1\t0\n" * 10,
}


def test_movielens_is_read_from_an_installed_package(tmp_path, monkeypatch):
    folder = tmp_path / "recbole" / "dataset_example" / "ml-100k"
    folder.mkdir(parents=True)
    (tmp_path / "recbole" / "__init__.py").touch()
    (tmp_path / "recbole-0.1.dist-info").mkdir()
    (tmp_path / "recbole-0.1.dist-info" / "METADATA").write_text("Name: recbole\nVersion: 0.1\n")
    for kind, text in TABLES.items():
        (folder / f"ml-100k.{kind}").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    draw, own = EXPERIMENTS["finalmlp-movielens"].draw, setting("finalmlp-movielens", "cpu")
    one, other = draw(own, 0), draw(own, 1)
    assert [len(one[s]) for s in ("train", "val", "test")] == [32, 4, 4]
    assert one["train"].sizes == (2, 2, 2, 2, 2, 2, 2, 2)
    assert one["test"].source == "MovieLens-100k as in recbole 0.1, 40 ratings"
    assert torch.equal(one["val"].x, other["val"].x)
    assert not torch.equal(one["train"].x, other["train"].x)
    rows = torch.cat([part.x for part in one.values()])
    y = torch.cat([part.y for part in one.values()])
    assert torch.equal(y, (rows[:, 0] == 0).float())  # user 1 likes everything


def test_without_the_package_movielens_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "recbole", None)
    with pytest.raises(ConfigError, match="pip install --no-deps recbole"):
        run("finalmlp-movielens", "cpu", out=tmp_path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: finalmlp.Fusion(6, 4, 4), "cannot be cut into 4 equal heads"),
        (lambda: streams(widths=(4,), heads=2), "fuse two streams only"),
        (lambda: streams(gates=[[0]]), "fields for each stream or for none"),
        (lambda: finalmlp.Clicks(torch.tensor([[0, 3]]), torch.ones(1), (2, 3)), "outside its"),
        (lambda: finalmlp.Clicks(torch.zeros(2, 2).long(), torch.ones(1), (2, 3)), "one y for"),
        (lambda: replace(setting(NAME, "quick"), levels=0).data(0.0, 0), "all at least 1"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
