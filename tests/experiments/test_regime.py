"""Where reconciliation helps: cells are paired, and controls are what they are called."""

from dataclasses import replace

import pytest
import torch

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import changed, run, setting
from localbook.experiments.comparisons.cells import network

X = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_rules_of_a_cell_start_from_the_same_weights_and_cells_differ_as_named() -> None:
    quick = setting("sgr-regime-digits", "quick")
    nets = {m: network(quick, m, X, seed=1) for m in ("none-trained_local", "none-trained_sgr-1")}
    plain, sgr = (list(net.parameters()) for net in nets.values())
    assert all(torch.equal(a, b) for a, b in zip(plain, sgr, strict=True))
    kinds = {n: type(network(quick, f"{n}-fixed_bp", X, 1).local_modules[0][2]).__name__
             for n in ("none", "batch", "group")}  # fmt: skip
    assert kinds == {"none": "Tanh", "batch": "BatchNorm1d", "group": "GroupNorm"}
    fixed, shared = (network(quick, f"none-{h}_bp", X, 1).heads for h in ("fixed", "shared"))
    assert not list(fixed.parameters())
    assert shared[0] is shared[3]
    assert fixed[0] is not fixed[3]
    aug = network(quick, "none-trained_auglocal", X, 1)
    assert len(aug.heads[0]) == 3  # two layers like later ones, and a classifier


def test_one_network_is_cut_into_modules_of_one_length() -> None:
    quick = setting("sgr-modules", "quick")
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    nets = [network(quick, f"none-trained-{count}_local", x, seed=1) for count in (1, 2, 4)]
    assert [[len(m) for m in net.local_modules] for net in nets] == [[4], [2, 2], [1] * 4]
    whole, halves, layers = (list(net.local_modules.parameters()) for net in nets)
    for one, other, third in zip(whole, halves, layers, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


def test_signals_live_through_sixteen_layers() -> None:
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sizes = []
    for gain in (None, 5 / 3):
        deep = replace(setting("sgr-modules", "cpu"), gain=gain)
        *_, last = network(deep, "none-trained-16_local", x, seed=1).all_scores(x)
        sizes.append(last.std(0).mean().item())
    assert sizes[0] < 1e-3 < 0.03 < sizes[1]


def test_in_one_module_local_learning_is_back_propagation(tmp_path) -> None:
    quick = setting("sgr-modules", "quick")
    short = replace(
        quick, methods=("none-trained-1_local", "none-trained-1_bp"), seeds=2, tuning_seeds=1,
        schedule=replace(quick.schedule, epochs=2),
    )  # fmt: skip
    local, bp = map(runs.read, run("sgr-modules", setting=short, out=tmp_path))
    assert local.config["chosen"] == bp.config["chosen"]
    for one, other in zip(local.final, bp.final, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-4)
        assert one["budget"] == [0, 0, 0, 1]


@pytest.mark.parametrize("method", ["none-trained-3_local", "none-trained-0_local"])
def test_layers_that_cannot_be_shared_out_are_refused(method: str) -> None:
    with pytest.raises(ConfigError, match="4 layers cannot be cut into"):
        network(setting("sgr-modules", "quick"), method, torch.zeros(2, 3, 32, 32), 1)


@pytest.mark.parametrize(
    "method",
    [
        "none-trained_sgr",
        "none-trained_l1-3",
        "layer-trained_bp",
        "none-trained-two_local",
        "none-trained_epochs-some",
    ],
)
def test_unknown_methods_are_refused(method: str, tmp_path) -> None:
    chosen = replace(setting("sgr-regime-digits", "quick"), methods=(method,))
    with pytest.raises(ConfigError, match=r"unknown (rule|method)"):
        run("sgr-regime-digits", setting=chosen, out=tmp_path)


def test_a_cell_is_recorded_with_budget_gains_and_the_plain_rate(tmp_path) -> None:
    words = ["schedule.epochs=20", "rates=0.05,0.3", "seeds=2", "tuning_seeds=1", "looks=2"]
    chosen = changed(setting("sgr-regime-digits", "quick"), words)
    first, again = (
        [runs.read(p) for p in run("sgr-regime-digits", setting=chosen, out=tmp_path / name)]
        for name in ("a", "b")
    )
    for record, same in zip(first, again, strict=True):
        assert [{**r, "seconds": 0} for r in record.final] == [
            {**r, "seconds": 0} for r in same.final
        ]
        assert record.history == same.history
        assert [row["epoch"] for row in record.history] == [10, 20] * 2
        assert record.config["chosen"] == first[0].config["chosen"]  # plain's, for all of them
        assert len(record.config["tuning"]) == 2
        for row in record.history:
            e, p, total, cosine = row["budget"]
            assert 0 < total < (e**0.5 + p**0.5) ** 2 + 1e-6
            assert -1 <= cosine <= 1
            assert len(row["losses"]) == 4
            assert len(row["ratio"]) == 3
    local, sgr, zero = first
    assert local.history[0]["budget"][1] == 0 < min(r.history[0]["budget"][1] for r in (sgr, zero))
    assert local.final[0]["losses"][0] == sgr.final[0]["losses"][0]  # module 1 has no penalty
    assert sum(sgr.final[0]["relative"]) < sum(local.final[0]["relative"])


def test_seeds_draw_images_of_their_own_and_modules_may_be_convolutions(tmp_path) -> None:
    paths = run("sgr-regime", methods=["batch-trained_sgr-0.03"], out=tmp_path)
    (record,) = map(runs.read, paths)
    assert {len(row["test_accuracy_by_module"]) for row in record.final} == {2}
    assert record.final[0]["losses"] != record.final[1]["losses"]


@pytest.mark.parametrize(
    ("rule", "words"), [("decay-0.02", "weight_decay=0.02"), ("epochs-3", "epochs=3")]
)
def test_a_schedule_of_its_own_is_that_of_the_setting_changed_so(rule, words, tmp_path) -> None:
    quick = changed(setting("sgr-regime-digits", "quick"), ["schedule.epochs=6", "seeds=2"])
    found = [
        runs.read(*run("sgr-regime-digits", setting=one, out=tmp_path / str(place))).final
        for place, one in enumerate((
            replace(quick, methods=(f"none-trained_{rule}",)),
            changed(replace(quick, methods=("none-trained_local",)), [f"schedule.{words}"]),
            replace(quick, methods=("none-trained_local",)),
        ))
    ]  # fmt: skip
    own, same, plain = ([row["losses"] for row in rows] for rows in found)
    assert own == same != plain


@pytest.mark.parametrize("strides", [(), (1, 2)])
@pytest.mark.parametrize(
    "method",
    ["none-trained_sgr-3", "batch-fixed_zero-1", "group-shared_sid", "batch-trained_auglocal",
     "none-trained_bp"],
)  # fmt: skip
def test_networks_side_by_side_learn_what_each_learns_alone(method: str, strides, tmp_path) -> None:
    quick = setting("sgr-regime-digits", "quick")
    chosen = replace(
        quick, methods=(method,), widths=(8, 8), strides=strides, train=40, seeds=3, tuning_seeds=1,
        schedule=replace(quick.schedule, epochs=3, batch_size=20),
    )  # fmt: skip
    found = []
    for together in (1, 2, 3):
        one = replace(chosen, together=together)
        (path,) = run("sgr-regime-digits", setting=one, out=tmp_path / str(together))
        found.append([row["losses"] for row in runs.read(path).final])
    assert found[0] == [pytest.approx(row, rel=1e-3) for row in found[1]]
    assert found[0] == [pytest.approx(row, rel=1e-3) for row in found[2]]
    assert found[0][0] != found[0][1]
