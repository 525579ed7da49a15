from dataclasses import fields, replace

import pytest

from localbook import data, runs
from localbook.errors import ConfigError
from localbook.experiments import EXPERIMENTS, PROFILES, Method, run, setting
from localbook.local import Schedule

DEEP = ("cifar10", "imagenet-subset")
RATES = {
    "cifar10": ("cifar10-rates", {"lr": 0.1}, {"lr": 0.05, "weight": 0.1}),
    "imagenet-subset": ("imagenet-rates", {"lr": 0.002}, {"lr": 0.001, "weight": 1.0}),
}


@pytest.mark.parametrize("name", [*DEEP, "cifar10-depth"])
def test_every_method_is_known_and_named_once(name):
    for chosen in EXPERIMENTS[name].profiles.values():
        for method in chosen.methods:
            Method.named(method.split("_")[1])
        assert len(set(chosen.methods)) == len(chosen.methods)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("profile", ["quick", "cpu"])
def test_the_other_rates_change_nothing_else(name, profile):
    """Only then does a difference to the experiment itself come from the rate."""
    rates, plain, reconciled = RATES[name]
    main, other = setting(name, profile), setting(rates, profile)
    assert _differing(main, other) <= {"methods", "rates", "pairs", "weights", "tuning_epochs"}
    assert [other.tried(method) for method in other.methods] == [(plain,), (reconciled,)]


@pytest.mark.parametrize("name", RATES)
def test_each_rule_takes_the_rate_that_the_other_was_recorded_with(name):
    _, plain, reconciled = RATES[name]
    chosen = {r.method: r.config["chosen"] for r in runs.load(name, profile="cpu")}
    assert plain["lr"] == chosen["resnet8_sgr-local-k4"]["lr"]
    assert reconciled["lr"] == chosen["resnet8_local-k4"]["lr"]
    assert reconciled["weight"] == chosen["resnet8_sgr-local-k4"]["weight"]


def _differing(one, other):
    return {f.name for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)}


@pytest.mark.parametrize("profile", PROFILES)
def test_stages_of_greedy_learning_share_epochs_equally(profile):
    chosen = setting("cifar10", profile)
    for method in (m for m in chosen.methods if "greedy" in m):
        stages = Method.named(method.split("_")[1]).k
        for epochs in (chosen.schedule.epochs, chosen.tuning_epochs):
            assert epochs % stages == 0


@pytest.mark.parametrize("name", DEEP)
def test_from_end_to_end_at_a_tiny_size(name, tmp_path):
    quick = setting(name, "quick")
    tiny = replace(
        quick,
        images=(60, 60 if name == "cifar10" else 50, quick.images[2]),
        schedule=Schedule(epochs=2, batch_size=30, lr=0.05),
        methods=(*(m for m in quick.methods if "sgr" in m), "resnet8_greedy-k2"),
        seeds=1,
    )
    for path in run(name, setting=tiny, out=tmp_path):
        record = runs.read(path)
        assert (record.sizes["train"], record.sizes["test"]) == (60, tiny.images[2])
        assert len(record.final[0]["test_accuracy_by_module"]) in (2, 4)
        if "sgr" in record.method:
            assert record.config["chosen"]["weight"] == tiny.weights[0]


def test_some_classes_are_evenly_spaced_and_the_same_in_every_split(tmp_path, monkeypatch):
    quick = setting("imagenet-subset", "quick")
    few = replace(quick, classes=2, images=(30, 50, 60), methods=("resnet8_bp",))
    monkeypatch.setitem(EXPERIMENTS["imagenet-subset"].profiles, "quick", few)
    (path,) = run("imagenet-subset", out=tmp_path)
    names = data.load("shapes", "train").class_names
    kept = f"only classes {names[0]}, {names[len(names) // 2]}"
    assert all(kept in source for source in runs.read(path).source.values())


def test_a_record_stays_valid_when_the_experiment_compares_more_methods(tmp_path, monkeypatch):
    """Each method's record is its own: what else is compared has no part in it."""
    profiles = EXPERIMENTS["cifar10"].profiles
    alone = replace(
        setting("cifar10", "quick"), methods=("resnet8_bp",), seeds=1, images=(30, 60, 120)
    )
    monkeypatch.setitem(profiles, "quick", alone)
    (path,) = run("cifar10", out=tmp_path)
    text = path.read_text()
    monkeypatch.setitem(profiles, "quick", replace(alone, methods=("resnet8_bp", "resnet8_dgl-k2")))
    assert run("cifar10", methods=["resnet8_bp"], out=tmp_path) == [path]
    assert path.read_text() == text
    monkeypatch.setitem(profiles, "quick", replace(alone, images=(40, 60, 120)))
    with pytest.raises(ConfigError, match="other settings"):
        run("cifar10", out=tmp_path)
