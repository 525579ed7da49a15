"""Another grid without editing the package: ``--set`` and ``run(..., setting=...)``."""

from dataclasses import replace

import pytest

from localbook import runs
from localbook.cli import main
from localbook.errors import ConfigError, RecordError
from localbook.experiments import changed, run, setting, sweep

NAME = "gradient-isolation"
QUICK = setting(NAME, "quick")


@pytest.mark.parametrize(
    ("name", "words", "where", "value"),
    [
        (NAME, "schedule.epochs=3", ("schedule", "epochs"), 3),
        (NAME, "lr=1", ("schedule", "lr"), 1.0),  # of one part alone, and a float
        (NAME, "model.widths=8,8", ("model", "widths"), (8, 8)),
        (NAME, "data=shapes", ("data",), "shapes"),
        (NAME, "methods=local", ("methods",), ("local",)),
        (NAME, "rates=", ("rates",), ()),
        (NAME, "pairs=[[0.1, 2]]", ("pairs",), ((0.1, 2.0),)),
        (NAME, "images=100,none,50", ("images",), (100, None, 50)),
        (NAME, "schedule.augment.flip=true", ("schedule", "augment", "flip"), True),
        (NAME, "schedule.ends=none", ("schedule", "ends"), None),
        ("cifar10", "classes=3", ("classes",), 3),
        ("tropical-pruning", "judged_at=0.6", ("judged_at",), 0.6),
        ("lottery-tickets", "scope=layer", ("scope",), "layer"),
    ],
)
def test_any_field_can_be_set(name, words, where, value):
    found = changed(setting(name, "quick"), [words])
    for field in where:
        found = getattr(found, field)
    assert (found, type(found)) == (value, type(value))


def test_a_mapping_is_set_by_its_keys():
    attack = setting("tropical-attack", "quick")
    new = changed(attack, ['candidates.pgd=[{"step": 0.5}]', "eps=0.2"])
    assert new == replace(
        attack, eps=0.2, candidates={**attack.candidates, "pgd": ({"step": 0.5},)}
    )


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        (NAME, "lr", "give a field and its value, such as lr=0.1"),
        (NAME, "rate=1", "no field 'rate' to set; there are data, model, schedule, methods"),
        (NAME, "model.depth=1", "no field 'model.depth' to set; there are widths, strides"),
        (NAME, "data.x=1", "no field 'data.x' to set; there are none"),
        (NAME, "seeds=1.5", "seeds=1.5: the value must be int"),
        (NAME, "seeds=true", "seeds=true: the value must be int"),
        (NAME, "model.widths=8,a", r"must be tuple\[int, \.\.\.\]"),
        (NAME, "images=1,2", "images=1,2: the value must be tuple"),
        (NAME, "model=8", "model has fields of its own: set one of them, such as model.widths"),
        (NAME, "schedule.lr=-1", "lr=-1.0 must be a number, zero or larger"),
        (NAME, "schedule.cycles=2", "has no effect here: every rule says itself"),
        ("lottery-tickets", "scope=neuron", r"must be Literal\['global', 'layer'\]"),
        ("tropical-attack", "candidates.cw=[]", "no field 'candidates.cw' to set; there are trop"),
        ("tropical-attack", "candidates.pgd=3", "candidates.pgd=3: the value must be tuple"),
    ],
)
def test_mistakes_are_one_sentence_with_what_there_is(name, words, message):
    with pytest.raises(ConfigError, match=message):
        changed(setting(name, "quick"), [words])


def test_a_learning_rate_that_tuning_replaces_is_refused():
    with pytest.raises(ConfigError, match="rates and pairs say what is tried"):
        changed(setting(NAME, "cpu"), ["lr=0.1"])
    one = changed(setting(NAME, "cpu"), ["rates=", "pairs=", "weights=10", "lr=0.3"])
    assert [one.tried(method) for method in one.methods] == [
        ({"lr": 0.3},), ({"lr": 0.3},), ({"lr": 0.3, "weight": 10.0},),
    ]  # fmt: skip


def test_a_network_without_batch_norm():
    net = changed(QUICK, ["model.norm=none", "widths=3,4", "strides=1,2"]).model.build(1, 10, 0)
    assert [type(part).__name__ for part in net.local_modules[0]] == ["Conv2d", "ReLU"]
    assert net.local_modules[0][0].bias is not None
    with pytest.raises(ConfigError, match=r"must be Literal\['batch', 'group', 'none'\]"):
        changed(QUICK, ["norm=layer"])


SMALL = ["epochs=1", "widths=3,4", "strides=2,2"]


def test_a_changed_run_says_so_and_is_no_record_of_the_profile(tmp_path, capsys):
    words = ["run", NAME, "--method", "local", "--seeds", "1", "--out", str(tmp_path)]
    assert main([*words, *(part for word in SMALL for part in ("--set", word))]) == 0
    (path,) = tmp_path.rglob("*.json")
    assert capsys.readouterr().out.strip() == str(path)
    record = runs.read(path)
    assert record.profile == "quick+model.widths=3,4+model.strides=2,2+schedule.epochs=1"
    assert record.config["changed"] == {
        "model.widths": [3, 4], "model.strides": [2, 2], "schedule.epochs": 1,
    }  # fmt: skip
    assert record.config["setting"]["schedule"]["epochs"] == 1
    assert "--set schedule.epochs=1" in runs.caption([record])
    with pytest.raises(RecordError, match="no record of"):
        runs.load(NAME, profile="quick", folder=tmp_path)


def test_the_same_setting_is_the_same_record_however_it_is_given(tmp_path):
    small = changed(QUICK, SMALL)
    first = run(NAME, setting=small, methods=["bp"], seeds=1, out=tmp_path)
    text = first[0].read_text()
    again = sweep(
        NAME, setting=small, methods=["bp", "local"], seeds=1, out=tmp_path, resume=True, workers=2
    )
    assert again[0] == first[0]
    assert first[0].read_text() == text
    assert runs.read(again[1]).config["changed"] == runs.read(first[0]).config["changed"]


def test_other_seeds_and_images_alone_are_no_other_profile(tmp_path):
    few = replace(QUICK, schedule=replace(QUICK.schedule, epochs=1), seeds=1)
    (path,) = run(NAME, setting=replace(few, schedule=QUICK.schedule), methods=["bp"], out=tmp_path)
    assert path.name == "quick-bp.json"
    assert "changed" not in runs.read(path).config


def test_the_setting_of_another_experiment_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has settings of Comparison, not AttackSetting"):
        run(NAME, setting=setting("tropical-attack", "quick"), out=tmp_path)
