import dataclasses
import json

import pytest

from localbook.cli import main
from localbook.experiments import parallel


def error(capsys, *words):
    assert main(["train-parallel", *words]) == 1
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def test_what_makes_no_sense_is_one_sentence(capsys, tmp_path):
    out = ["--out", str(tmp_path)]
    assert "unknown profile 'slow'" in error(capsys, "--profile", "slow", *out)
    assert "unknown method 'bp'; choose one of local, dgl, sgr" in error(
        capsys, "--method", "bp", *out
    )
    assert "one module has nothing to run in parallel" in error(capsys, "--modules", "1", *out)
    assert "'gpu' needs CUDA devices and `torchrun" in error(capsys, "--profile", "gpu", *out)
    (tmp_path / "quick-sgr-2-modules").mkdir()
    assert "add --resume to continue it" in error(capsys, *out)
    assert error(capsys, *out).count("\n") == 1


def test_under_torchrun_the_number_of_processes_is_checked(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    message = error(capsys, "--modules", "2", "--out", str(tmp_path))
    assert "2 modules need 2 processes" in message


def test_a_run_leaves_its_history_and_is_continued(capsys, tmp_path, monkeypatch):
    quick = parallel.PROFILES["quick"]
    schedule = dataclasses.replace(quick.schedule, epochs=1)
    short = dataclasses.replace(quick, schedule=schedule)
    monkeypatch.setattr(parallel, "PROFILES", {"quick": short})
    words = ["train-parallel", "--method", "dgl", "--out", str(tmp_path)]
    assert main(words) == 0
    assert "validation accuracy of each module" in capsys.readouterr().out
    folder = tmp_path / "quick-dgl-2-modules"
    (row,) = json.loads((folder / "history.json").read_text())
    assert len(row["accuracy"]) == 2
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "cuts.json", "history.json", "threads.json", "epoch-0001-module-1.pt",
        "epoch-0001-module-2.pt",
    }  # fmt: skip


def test_networks_have_as_many_modules_as_asked_for():
    from localbook import data
    from localbook.data import DeviceImages

    for name, modules in (("quick", 3), ("cpu", 2)):
        images = DeviceImages(data.load("shapes" if name == "cpu" else "digits", "val"))
        setting = parallel.PROFILES[name]
        cuts = setting.cuts(modules, images)
        net = setting.network("local", modules, cuts, images)
        assert len(net) == modules
        assert net(images.at(slice(0, 2))[0]).shape[0] == 2
