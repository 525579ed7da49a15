import json
import os
import time

import pytest
import torch

from localbook import runs
from localbook.benchmarks import Meter, training
from localbook.cli import main
from localbook.errors import ConfigError
from localbook.experiments import EXPERIMENTS, run, setting
from localbook.experiments.harness import changed
from localbook.threads import Threads, computing

NAME = "gradient-isolation"


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(4), raising=False)


@pytest.mark.parametrize(
    ("count", "told", "processes", "now", "most"),
    [
        (None, "", 1, 1, 4),
        (None, "", 2, 1, 2),
        (None, "", 9, 1, 1),
        (None, "3", 2, 3, 3),
        (None, "3,2", 1, 3, 3),
        (None, "many", 1, 1, 4),
        (2, "3", 1, 2, 2),
    ],
)
def test_an_option_comes_before_the_environment_and_both_before_measuring(
    monkeypatch, count, told, processes, now, most
):
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert Threads.asked(count, processes) == Threads(now, most)


@pytest.mark.parametrize(("faster_by", "chosen"), [(-0.02, 1), (0.02, 4)])
def test_more_threads_are_taken_where_they_save_time(faster_by, chosen):
    def step():
        time.sleep(0.03 - (faster_by if torch.get_num_threads() == 4 else 0))

    before = torch.get_num_threads()
    assert Threads(1, 4).measured(step) == Threads(chosen, chosen)
    assert torch.get_num_threads() == before


def test_measuring_ends_soon_where_threads_wait_for_one_another():
    calls = []
    Threads(1, 4).measured(lambda: calls.append(time.sleep(0.6)))
    assert len(calls) == 4


def short():
    return changed(setting(NAME, "quick"), ["schedule.epochs=1"])


def interrupted(monkeypatch, seen):
    """Make the experiment stop after its first seed, as if it had been interrupted."""
    whole = EXPERIMENTS[NAME]

    def stopped(job):
        seen.append(torch.get_num_threads())
        whole.run(job)
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setitem(EXPERIMENTS, NAME, type(whole)(whole.profiles, stopped, whole.prepare))
    return whole


def test_a_run_continues_with_the_threads_it_was_begun_with(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(Threads, "measured", lambda self, call: [call(), Threads(2, 2)][1])
    whole = interrupted(monkeypatch, seen)
    how = {"setting": short(), "methods": ["bp"], "seeds": 1, "out": tmp_path}
    with computing(3):
        with pytest.raises(KeyboardInterrupt):
            run(NAME, **how)
        assert seen == [1, 2]
        assert torch.get_num_threads() == 3
    monkeypatch.undo()
    assert EXPERIMENTS[NAME] is whole
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(ConfigError, match="begun with threads=2"):
        run(NAME, **how, resume=True, threads=1)
    (path,) = run(NAME, **how, resume=True)
    assert runs.read(path).hardware["threads"] == 2


def test_a_run_that_failed_at_once_leaves_nothing_to_continue(monkeypatch, tmp_path):
    whole = EXPERIMENTS[NAME]

    def broken(job):
        raise ConfigError("it does not fit")

    monkeypatch.setitem(EXPERIMENTS, NAME, type(whole)(whole.profiles, broken, whole.prepare))
    for _ in range(2):
        with pytest.raises(ConfigError, match="does not fit"):
            run(NAME, methods=["bp"], out=tmp_path)


@pytest.mark.parametrize("words", [["run", NAME], ["bench", "zonotope"], ["train-parallel"]])
def test_no_thread_is_a_mistake(capsys, tmp_path, words):
    assert main([*words, "--threads", "0", "--out", str(tmp_path)]) == 1
    assert "threads=0: give at least one" in capsys.readouterr().err


def test_the_command_passes_its_option_on(tmp_path):
    words = ["run", NAME, "--set", "schedule.epochs=1", "--seeds", "1", "--method", "bp"]
    assert main([*words, "--threads", "2", "--out", str(tmp_path)]) == 0
    (path,) = (tmp_path / NAME).glob("*.json")
    assert json.loads(path.read_text())["hardware"]["threads"] == 2


def test_its_benchmark_times_the_command():
    small = training.threads.measure_threads(Meter(), ("schedule.epochs=1",), rounds=1)
    row = next(small)
    assert row.what == "one run"
    assert row.target.limit == pytest.approx(1 / 0.95)
    assert row.value > 0
    assert row.baseline.startswith("torch's own number of threads (")
