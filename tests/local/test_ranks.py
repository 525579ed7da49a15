"""Two processes that train together are one that trains on the joint batch."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from localbook.errors import ConfigError
from localbook.local.training.ranks import Ranks, joined

JOB = """
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from localbook.data import ImageSet
from localbook.data.batches import Augment, DeviceImages
from localbook.local import SGR, IsolatedNetwork, Schedule, train
from localbook.local.training.ranks import joined



class Watches(nn.Module):
    # looks at what a dropout mask would be drawn from, and changes nothing

    drawn = []

    def forward(self, x):
        if self.training:
            with torch.random.fork_rng():
                self.drawn.append(torch.rand(()).item())
            torch.rand(())
        return x


out = Path(sys.argv[1])
rng = np.random.default_rng(0)
pixels = rng.integers(0, 256, (40, 3, 6, 6)).astype(np.uint8)
data = DeviceImages(ImageSet(pixels, np.arange(40) % 4, tuple("abcd"), "made up"))
schedule = Schedule(epochs=2, batch_size=8, lr=0.05, augment=Augment(1, True), clip=1.0,
                    label_smoothing=0.1, mixup=0.4, ema=0.9)
with joined() as ranks:
    torch.manual_seed(0 if ranks.rank == 0 else 7)  # process 1 follows process 0's weights
    convs = [nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3)]
    modules = [nn.Sequential(conv, nn.GroupNorm(2, 6), nn.ReLU()) for conv in convs]
    modules[0].append(Watches())
    modules[0].register_buffer("turned", torch.full((3, 2), float(ranks.rank)).T)  # not contiguous
    modules[0].turned.copy_(torch.arange(6.0).view(2, 3) * (1 + 9 * ranks.rank))
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(n, 4)) for n in (96, 24)]
    net = IsolatedNetwork(modules, heads)
    seen = []
    rows = train(net, SGR(0.5), data, data, schedule, seed=0,
                 checkpoint=out / f"{ranks.size}.pt", on_epoch=lambda row, net: seen.append(row))
    assert len(seen) == (2 if ranks.rank == 0 else 0)
    kept = {"net": net.state_dict(), "loss": [row["loss"] for row in rows],
            "drawn": Watches.drawn, "turned": modules[0].turned}
    torch.save(kept, out / f"size{ranks.size}-rank{ranks.rank}.pt")
"""


def torchrun(processes: int, script: Path, out: Path) -> None:
    local = ["--standalone", "--nnodes=1", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-m", "torch.distributed.run", *local, str(script), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_two_processes_take_the_steps_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    torchrun(2, script, tmp_path)
    monkeypatch.setattr(sys, "argv", ["job.py", str(tmp_path)])
    runpy.run_path(str(script))
    one, first, second = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for name in ("size1-rank0", "size2-rank0", "size2-rank1")
    )
    for name, value in one["net"].items():
        assert torch.equal(first["net"][name], second["net"][name]), name
        assert torch.allclose(first["net"][name], value, rtol=1e-4, atol=1e-6), name
    turned = torch.arange(6.0).view(2, 3)
    assert torch.equal(first["turned"], turned)
    assert torch.equal(second["turned"], turned)
    assert first["drawn"] == one["drawn"]  # a process alone draws what the first does
    assert len({*first["drawn"], *second["drawn"]}) == 2 * len(one["drawn"]) > 4
    assert torch.allclose(torch.tensor(first["loss"]), torch.tensor(one["loss"]), atol=1e-4)
    assert first["loss"] == second["loss"]


def test_a_process_alone_joins_nobody() -> None:
    with joined() as ranks:
        assert ranks == Ranks.here() == Ranks(0, 1)
        tensor = torch.arange(4.0)
        ranks.average([tensor])
        ranks.follow_first([tensor])
        assert torch.equal(ranks.share(tensor), torch.arange(4.0))


def test_a_joint_batch_is_shared_without_rest() -> None:
    batch = torch.arange(6)
    parts = [Ranks(rank, 3).share(batch) for rank in range(3)]
    assert torch.equal(torch.cat(parts), batch)
    assert {len(part) for part in parts} == {2}
    with pytest.raises(ConfigError, match="batch_size=7 cannot be shared evenly by 3 processes"):
        Ranks(0, 3).check_batch(7)
