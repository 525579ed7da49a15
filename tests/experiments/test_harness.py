"""What all experiments have in common, on one whose data are no images."""

from dataclasses import dataclass, replace

import pytest
import torch

from localbook import runs
from localbook.cli import main
from localbook.errors import ConfigError, TrainingError
from localbook.experiments import EXPERIMENTS, Experiment, Job, Samples, each_seed, run
from localbook.experiments.harness import rounded, rows_once, significant, tensors_once, tune
from localbook.fit import accuracy, fit, mlp

NAME = "parity"
ROWS = [{"seed": 0, "score": 0.5}]


@dataclass(frozen=True)
class Parity:
    """Which bits of a sequence an odd sum comes from."""

    bits: int
    epochs: int = 3
    methods: tuple[str, ...] = ("wide", "narrow")
    seeds: int = 2


def draw(setting, seed):
    generator = torch.Generator().manual_seed(seed)
    splits = {}
    for split, count in (("train", 60), ("test", 40)):
        bits = torch.randint(0, 2, (count, setting.bits), generator=generator)
        splits[split] = Samples(bits.float(), bits.sum(1) % 2, f"{setting.bits} bits, drawn")
    return splits


def measured(job, seed):
    train, test = (job.splits(seed)[split] for split in ("train", "test"))
    net = mlp((job.setting.bits, 32 if job.method == "wide" else 2, 2), seed)
    fit(net, train.x, train.y, epochs=job.setting.epochs, batch_size=20, lr=0.01, seed=seed)
    history = [{"epoch": job.setting.epochs, "train_accuracy": accuracy(net, train.x, train.y)}]
    return {"test_accuracy": accuracy(net, test.x, test.y), "first": test.x[0].tolist()}, history


@pytest.fixture(autouse=True)
def known(monkeypatch):
    toy = Experiment({"quick": Parity(4)}, each_seed(measured), draw=draw)
    monkeypatch.setitem(EXPERIMENTS, NAME, toy)


def test_an_experiment_on_drawn_data_is_run_recorded_and_shown(tmp_path, capsys):
    paths = run(NAME, out=tmp_path)
    wide, narrow = map(runs.read, paths)
    assert wide.sizes == {"train": 60, "test": 40}
    assert wide.source == {"train": "4 bits, drawn", "test": "4 bits, drawn"}
    assert wide.config == {
        "setting": {"bits": 4, "epochs": 3, "methods": ["wide", "narrow"], "seeds": 2},
        "chosen": {},
        "tuning": [],
    }
    assert [row["first"] for row in wide.final] == [row["first"] for row in narrow.final]
    assert wide.final[0]["first"] != wide.final[1]["first"] or wide.final[0] != wide.final[1]
    assert [row["seed"] for row in wide.history] == [0, 1]
    assert run(NAME, out=tmp_path) == paths
    assert "Recorded on 4 bits, drawn; 2 seeds" in runs.caption([wide, narrow])
    assert "--data" not in runs.caption([wide])
    assert main(["runs", "compare", NAME, "--out", str(tmp_path)]) == 0
    assert "| wide " in capsys.readouterr().out


def test_its_fields_can_be_set_and_its_data_cannot_be_replaced(tmp_path, capsys):
    words = ["run", NAME, "--out", str(tmp_path), "--method", "wide"]
    assert main([*words, "--set", "bits=3"]) == 0
    record = runs.read(tmp_path / NAME / "quick+bits=3-wide.json")
    assert record.source["test"] == "3 bits, drawn"
    assert main([*words, "--set", "bit=3"]) == 1
    assert main([*words, "--data", "digits"]) == 1
    stderr = capsys.readouterr().err
    assert "no field 'bit' to set; there are bits, epochs, methods, seeds" in stderr
    assert "'parity' draws its data itself; run it without --data" in stderr


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, monkeypatch):
    (whole,) = map(runs.read, run(NAME, methods=["wide"], out=tmp_path / "whole"))
    seen = []

    def interrupted(job, seed):
        seen.append(seed)
        if seen == [0, 1]:
            raise KeyboardInterrupt
        return measured(job, seed)

    broken = replace(EXPERIMENTS[NAME], run=each_seed(interrupted))
    monkeypatch.setitem(EXPERIMENTS, NAME, broken)
    with pytest.raises(KeyboardInterrupt):
        run(NAME, methods=["wide"], out=tmp_path)
    with pytest.raises(ConfigError, match="add --resume"):
        run(NAME, methods=["wide"], out=tmp_path)
    (parts,) = map(runs.read, run(NAME, methods=["wide"], out=tmp_path, resume=True))
    assert seen == [0, 1, 1]
    assert parts.history == whole.history
    for mine, other in zip(parts.final, whole.final, strict=True):
        assert mine | {"seconds": 0} == other | {"seconds": 0}


@pytest.fixture
def job(tmp_path):
    setting = Parity(4)
    return Job(NAME, "quick", "wide", setting, [0], draw(setting, 0), "cpu", tmp_path / "partial")


def never():
    raise AssertionError("made again")


def test_the_best_candidate_is_chosen_once(job):
    scores = {1: 0.5, 2: 0.75, 3: 0.75}

    def judge(candidate):
        if candidate["lr"] == 4:
            raise TrainingError("diverged")
        return scores[candidate["lr"]]

    candidates = [{"lr": lr} for lr in (1, 2, 3, 4)]
    chosen, rows = tune(job, candidates, judge)
    assert chosen == {"lr": 2}
    assert [row["val_accuracy"] for row in rows] == [0.5, 0.75, 0.75, None]
    assert tune(job, candidates, never) == (chosen, rows)
    single = [{"candidate": {"lr": 1}, "val_accuracy": None}]
    assert tune(job, candidates[:1], never, name="single") == ({"lr": 1}, single)
    # what diverges loses, also where all scores are negative; without any score the mildest wins
    assert tune(job, candidates[2:], lambda c: judge(c) - 1, name="negative")[0] == {"lr": 3}
    assert tune(job, [{"lr": 4}, {"lr": 4, "weight": 1.0}], judge, name="none")[0] == {"lr": 4}
    # of equals, what does least to the network: the smallest λ, then the smallest rate
    equal = [{"lr": lr, "weight": w} for lr, w in ((2, 10.0), (3, 1.0), (2, 1.0), (1, 3.0))]
    assert tune(job, equal, lambda candidate: 0.5, name="tie")[0] == {"lr": 2, "weight": 1.0}


def test_rows_are_made_once_and_more_seeds_are_no_other_work(job):
    assert rows_once(job, "part", lambda: ROWS) == ROWS
    more = replace(job, setting=replace(job.setting, seeds=99))
    assert rows_once(more, "part", never) == ROWS
    assert [path.name for path in job.partial.iterdir()] == ["part.json"]


def test_rows_of_other_work_are_refused(job):
    rows_once(job, "part", lambda: ROWS)
    other_data = replace(job, sets=draw(Parity(5), 0))
    other_setting = replace(job, setting=Parity(4, epochs=9))
    for other in (replace(job, method="narrow"), other_data, other_setting):
        with pytest.raises(ConfigError, match="belongs to other settings or other data; delete"):
            rows_once(other, "part", never)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rows": []}', "3"])
def test_damaged_rows(job, content):
    rows_once(job, "part", lambda: ROWS)
    (job.partial / "part.json").write_text(content)
    with pytest.raises(ConfigError, match=r"part\.json cannot be read; delete it"):
        rows_once(job, "part", never)


def test_tensors_are_made_once_and_code_in_disguise_is_refused(tmp_path):
    path = tmp_path / "shared" / "net.pt"
    for make in (lambda: {"weight": torch.arange(3.0)}, never):
        assert torch.equal(tensors_once(path, "cpu", make)["weight"], torch.arange(3.0))
    torch.save({"weight": tmp_path}, path)  # an object, which unpickling would have to build
    with pytest.raises(ConfigError, match="cannot be read; delete it"):
        tensors_once(path, "cpu", never)
    path.write_bytes(b"PK damaged")
    with pytest.raises(ConfigError, match="cannot be read; delete it"):
        tensors_once(path, "cpu", never)


def test_numbers_are_rounded_as_rows_keep_them():
    assert rounded([torch.tensor(0.123456), [1, 2.00004]]) == [0.1235, [1.0, 2.0]]
    assert rounded(-0.126, 2) == -0.13
    assert [significant(v, 3) for v in (torch.tensor(1234.5), 0.00012345)] == [1230.0, 0.000123]
