"""Modules in processes of their own take the steps that they take in one process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from localbook.errors import TrainingError
from localbook.local import PlainLocal, parallel, train
from tests.local import parallel_job as job


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of floating-point numbers depend on how threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torchrun(processes: int, what: str, out: Path) -> subprocess.CompletedProcess[str]:
    local = ["--standalone", "--nnodes=1", f"--nproc-per-node={processes}"]
    words = [*local, str(job.__file__), what, str(out)]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words],
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def all_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cases")
    done = torchrun(job.MODULES, "cases", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("name", job.CASES)
def test_every_local_rule_gives_the_weights_of_one_process(all_cases: Path, name: str) -> None:
    network, rule, schedule = job.CASES[name]
    net = network()
    history = train(net, rule, job.images(), job.images(), schedule, seed=3)
    for number, (module, head) in enumerate(net.pairs()):
        kept = torch.load(all_cases / f"{name}-{number}.pt", weights_only=True)
        for alone, found in zip((module, head), kept["part"], strict=True):
            for key, value in alone.state_dict().items():
                assert torch.equal(found[key], value), key
        for row, single in zip(kept["history"], history, strict=True):
            assert row["accuracy"] == single["accuracy"]
            assert row["loss"] == pytest.approx(single["loss"], abs=1e-5)


def test_two_replicas_of_two_modules_take_the_steps_of_one_process(tmp_path: Path) -> None:
    done = torchrun(4, "replicas", tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = [torch.load(tmp_path / f"drawn-{rank}.pt", weights_only=True) for rank in range(4)]
    assert len({number for own in drawn for number in own}) == sum(map(len, drawn)) >= 4 * 10
    for name, rule in job.REPLICATED.items():
        net = job.without_batch_norm()
        train(net, rule, job.images(), job.images(), job.PLAIN, seed=3)
        for number, pair in enumerate(net.pairs()):
            first, second = (
                torch.load(tmp_path / f"{name}-{number}-{replica}.pt", weights_only=True)["part"]
                for replica in range(2)
            )
            for alone, one, other in zip(pair, first, second, strict=True):
                for key, value in alone.state_dict().items():
                    assert torch.equal(one[key], other[key]), key
                    torch.testing.assert_close(one[key], value, rtol=1e-4, atol=1e-6)


def test_under_torchrun_the_module_that_died_is_named(tmp_path: Path) -> None:
    done = torchrun(job.MODULES, "dying", tmp_path)
    assert done.returncode != 0
    assert "module 2 (rank 1) died" in done.stderr
    assert "module 1 (rank 0) died" not in done.stderr
    assert "module 3 (rank 2) died" not in done.stderr


def test_a_killed_run_names_the_module_and_continues_to_the_same_numbers(tmp_path: Path) -> None:
    schedule = replace(job.PLAIN, epochs=6)
    alone = job.convolutions()
    train(alone, PlainLocal(), job.images(), job.images(), schedule, seed=3)
    # Slow enough that it cannot end before it is killed.
    slow = parallel.Options(checkpoint=tmp_path, pace=(0.0, 0.1, 0.0))
    died = threading.Event()

    def kill() -> None:
        while parallel.last_common(tmp_path, job.MODULES) < 2:
            time.sleep(0.05)
        second = sorted(active_children(), key=lambda child: child.pid or 0)[1]
        assert second.pid is not None
        os.kill(second.pid, signal.SIGKILL)
        died.set()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TrainingError, match=r"module 2 \(rank 1\) died \(SIGKILL\)"):
        parallel.launch(
            job.convolutions(), PlainLocal(), job.images(), job.images(), schedule, seed=3,
            options=slow,
        )  # fmt: skip
    killer.join()
    assert died.is_set()
    assert not active_children()
    done = parallel.last_common(tmp_path, job.MODULES)
    assert 2 <= done < 6
    net = job.convolutions()
    # Module 3 is slow now: the order of things is another, and the numbers the same.
    options = parallel.Options(checkpoint=tmp_path, pace=(0.0, 0.0, 0.02), queue=2)
    trained = parallel.launch(
        net, PlainLocal(), job.images(), job.images(), schedule, seed=3, options=options
    )
    for key, value in alone.state_dict().items():
        assert torch.equal(net.state_dict()[key], value), key
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4, 5, 6]
    assert len(trained.updates[0].begin) == (6 - done) * 5
    fast, slow_ = trained.staleness()
    assert fast.min() >= 0
    assert slow_.max() <= 2 + 2  # the queue, one on its way, and one being made
    assert slow_.mean() > 1  # module 2 fills the queue of module 3, which is slower
