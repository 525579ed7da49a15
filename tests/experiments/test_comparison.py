import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import EXPERIMENTS, PROFILES, run, setting
from localbook.local import ConvNet, Schedule
from localbook.progress import Progress

NAME = "gradient-isolation"
TINY = replace(
    setting(NAME, "quick"),
    model=ConvNet((3, 4), (2, 2)),
    schedule=Schedule(epochs=2, batch_size=128, lr=0.1),
    methods=("local", "sgr"),
    rates=(0.1, 0.01),
    pairs=((0.1, 1.0), (0.1, 5.0)),
    tuning_epochs=1,
    seeds=2,
)


@pytest.fixture
def tiny(monkeypatch):
    """Make it the profile's own: what is recorded then counts as the profile's."""
    monkeypatch.setitem(EXPERIMENTS[NAME].profiles, "quick", TINY)


def numbers(record):
    """Everything of a record that must not depend on time."""
    times = {"seconds", "images_per_s"}
    history = [{k: v for k, v in row.items() if k not in times} for row in record.history]
    return record.config, record.source, record.sizes, record.final, history


def test_one_record_for_each_method(tiny, tmp_path):
    paths = run(NAME, out=tmp_path)
    local, sgr = (runs.read(path) for path in paths)
    assert [p.name for p in paths] == ["quick-local.json", "quick-sgr.json"]
    assert local.seeds == [0, 1]
    assert len(local.history) == 4
    assert local.sizes["train"] == 1295
    assert len(local.final[0]["test_accuracy_by_module"]) == 2
    assert sgr.config["chosen"] in TINY.tried("sgr")
    assert not (tmp_path / NAME / ".partial" / "quick-local").exists()


def test_the_candidate_with_the_best_validation_accuracy_is_chosen(tiny, tmp_path):
    for record in map(runs.read, run(NAME, out=tmp_path)):
        tuning = record.config["tuning"]
        best = max(tuning, key=lambda trial: trial["val_accuracy"])
        assert len(tuning) == 2
        assert record.config["chosen"] == best["candidate"]
        assert all(trial["seed"] not in record.seeds for trial in tuning)


def test_a_candidate_that_diverges_loses(tmp_path):
    sure = replace(TINY, methods=("local",), rates=(1e30, 0.01))
    (path,) = run(NAME, setting=sure, out=tmp_path)
    record = runs.read(path)
    assert record.config["chosen"] == {"lr": 0.01}
    assert record.config["tuning"][0]["val_accuracy"] is None


def test_what_is_recorded_is_not_run_again(tiny, tmp_path):
    first = [path.read_text() for path in run(NAME, out=tmp_path)]  # with its date and seconds
    assert [path.read_text() for path in run(NAME, out=tmp_path)] == first


def test_a_record_of_other_settings_is_not_overwritten(tiny, tmp_path):
    run(NAME, out=tmp_path)
    with pytest.raises(ConfigError, match=r"quick-local\.json records other settings"):
        run(NAME, out=tmp_path, seeds=1)


def test_interrupted_and_resumed_equals_uninterrupted(tiny, tmp_path, monkeypatch):
    whole = [runs.read(path) for path in run(NAME, out=tmp_path / "whole")]
    epochs = 0

    def interrupt(bar, step, figures=""):
        nonlocal epochs
        epochs += "images/s" in figures  # of an epoch, which is kept by now
        if "images/s" in figures and epochs % 3 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "at", interrupt)
    out = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        run(NAME, out=out)
    with pytest.raises(ConfigError, match="add --resume"):
        run(NAME, out=out)
    paths, interruptions = None, 1
    while paths is None:
        try:
            paths = run(NAME, out=out, resume=True)
        except KeyboardInterrupt:
            interruptions += 1
    parts = [runs.read(path) for path in paths]
    assert interruptions >= 3
    assert [numbers(r) for r in parts] == [numbers(r) for r in whole]


def test_interrupting_the_command_keeps_its_work(tmp_path):
    """The real thing: SIGINT to `localbook run`, then the same command with --resume."""
    shorter = ["--seeds", "1", "--set", "epochs=4"]
    command = [sys.executable, "-m", "localbook", "run", NAME, *shorter, "--out"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    whole = tmp_path / "whole"
    subprocess.run([*command, str(whole)], check=True, capture_output=True, env=env)

    parts = tmp_path / "parts"
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # in the background it is ignored
    process = subprocess.Popen(
        [*command, str(parts)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        preexec_fn=heed,
    )
    wait_for = time.monotonic() + 120
    # In the second of three methods: the third leaves time, however busy the machine is.
    while not list(parts.rglob("*local*/*.pt")) and time.monotonic() < wait_for:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Continue with the same command and --resume" in stderr
    assert "Traceback" not in stderr
    assert not list(parts.rglob("quick*-sgr.json"))

    done = subprocess.run(
        [*command, str(parts), "--resume"], check=True, capture_output=True, text=True, env=env
    )
    assert len(done.stdout.splitlines()) == 3
    for method in ("bp", "local", "sgr"):
        name = f"quick+schedule.epochs=4-{method}.json"
        pair = [runs.read(home / NAME / name) for home in (whole, parts)]
        assert numbers(pair[0]) == numbers(pair[1])


def test_unknown_method(tmp_path):
    with pytest.raises(ConfigError, match="unknown method 'dgl'; this experiment has bp, local"):
        run(NAME, methods=["sgr", "dgl"], out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rates": (0.1, 0.2), "tuning_epochs": 0}, "need tuning_epochs"),
        ({"weights": ()}, "method 'sgr' needs a λ"),
    ],
)
def test_comparisons_that_make_no_sense(changes, words):
    with pytest.raises(ConfigError, match=words):
        replace(setting(NAME, "quick"), **changes)


@pytest.mark.parametrize("name", [NAME, "cifar10", "sgr-ablation"])
def test_a_method_without_a_rule(name, tmp_path):
    odd = replace(setting(name, "quick"), methods=("fly",), weights=(1.0,))
    with pytest.raises(ConfigError, match="unknown method 'fly'"):
        run(name, setting=odd, out=tmp_path)


def test_a_record_of_an_earlier_version_counts_as_other_settings(tmp_path):
    (path,) = run(NAME, methods=["local"], seeds=1, out=tmp_path)
    record = json.loads(path.read_text())
    record["config"]["setting"]["candidates"] = record["config"]["setting"].pop("rates")
    path.write_text(json.dumps(record))
    assert runs.read(path).method == "local"
    with pytest.raises(ConfigError, match="of an earlier version, with other fields"):
        run(NAME, methods=["local"], seeds=1, out=tmp_path)


def test_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        run(NAME, "gpu", out=tmp_path)


@pytest.mark.parametrize(("left_out", "same"), [("ends", True), ("epochs", False)])
def test_a_field_younger_than_a_record_has_its_default_there(left_out, same, tiny, tmp_path):
    (path,) = run(NAME, methods=["local"], seeds=1, out=tmp_path)
    record = json.loads(path.read_text())
    del record["config"]["setting"]["schedule"][left_out]
    path.write_text(json.dumps(record))
    if same:
        assert run(NAME, methods=["local"], seeds=1, out=tmp_path) == [path]
    else:
        with pytest.raises(ConfigError, match="other settings"):
            run(NAME, methods=["local"], seeds=1, out=tmp_path)


@pytest.mark.parametrize("seeds", [0, -1])
def test_seeds_must_be_positive(seeds, tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        run(NAME, seeds=seeds, out=tmp_path)


def test_another_data_set_is_named_without_its_folder(tiny, tmp_path):
    from PIL import Image

    for side in ("train", "test"):
        for name in ("a", "b"):
            for i in range(80):
                file = tmp_path / "my-pictures" / side / name / f"{i}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (8, 8), i + 100 * (name == "b")).save(file)
    (path, _) = run(NAME, out=tmp_path / "out", data=str(tmp_path / "my-pictures"), seeds=1)
    record = runs.read(path)
    assert record.config["setting"]["data"] == "my-pictures"
    assert str(tmp_path) not in path.read_text()


def test_unknown_names():
    with pytest.raises(ConfigError, match="unknown experiment 'x'; known are gradient-isolation"):
        setting("x", "quick")
    with pytest.raises(ConfigError, match="one of quick, cpu, gpu"):
        setting(NAME, "slow")


@pytest.mark.parametrize(
    ("name", "profile"), [(name, p) for name in EXPERIMENTS for p in EXPERIMENTS[name].profiles]
)
def test_a_record_can_hold_every_setting(name, profile):
    chosen = setting(name, profile)
    json.dumps(dataclasses.asdict(chosen))
    assert profile in PROFILES
    assert chosen.seeds >= 1
    assert chosen.methods
    if hasattr(chosen, "schedule") and hasattr(
        chosen, "tried"
    ):  # rules are compared at equal tuning
        assert len({len(chosen.tried(method)) for method in chosen.methods} - {1}) <= 1


def test_a_profile_that_an_experiment_does_not_have():
    lacking = [(n, p) for n in EXPERIMENTS for p in PROFILES if p not in EXPERIMENTS[n].profiles]
    for name, profile in lacking:
        with pytest.raises(ConfigError, match=f"{name!r} has no profile {profile!r}; choose"):
            setting(name, profile)
    assert lacking
