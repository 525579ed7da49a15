#!/usr/bin/env bash
# torch 2.15.0 (torch.distributed.pipelining, one process, gloo)
#
# Behaviour: a schedule whose number of micro-batches does not divide the batch cuts it into parts of
# unequal length, and gives every part's mean loss the same weight in the gradient. No warning, no error.
# Seen: a linear layer in float64, 10 samples, mean squared error. In 1, 2, 5 or 10 parts ScheduleGPipe's
# gradient is that of the whole batch to 1e-15; in 3 parts (4, 3 and 3 samples) it is off by 13 % of its
# length, in 8 parts (two of 2 samples, six of 1) by 28 %. It equals the mean of the parts' own gradients.
#
# Guessed: refused, or parts weighed by their samples, since the schedule makes the parts itself, counts
# them itself, and by default divides gradients by their number (scale_grads=True).
#
# Why it surprises: micro-batches in a pipeline are chosen over stale weights for one reason, that the
# gradient is exactly the batch's. The last batch of an epoch is seldom divisible, and the loss shows
# nothing.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
fi
cd "$place"
"$python" -W ignore - <<'END'
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe
from torch.nn.functional import mse_loss

assert torch.__version__.startswith("2.15.0"), torch.__version__
meet = Path("meet").absolute().as_uri()
dist.init_process_group("gloo", init_method=meet, rank=0, world_size=1)
torch.manual_seed(0)
x, y = torch.randn(10, 5, dtype=torch.float64), torch.randn(10, 1, dtype=torch.float64)


def layer():
    torch.manual_seed(1)
    return torch.nn.Linear(5, 1).double()


def whole(x, y):
    net = layer()
    mse_loss(net(x), y).backward()
    return net.weight.grad


def piped(parts):
    net = layer()
    stage = PipelineStage(net, 0, 1, torch.device("cpu"))
    ScheduleGPipe(stage, n_microbatches=parts, loss_fn=mse_loss).step(x, target=y)
    return net.weight.grad


exact, off = whole(x, y), {}
for parts in (1, 2, 3, 5, 8, 10):
    off[parts] = ((piped(parts) - exact).norm() / exact.norm()).item()
    print(f"{parts:>2} parts: off by {off[parts]:.1e} of the gradient's length")
cut = x.tensor_split(3), y.tensor_split(3)
mean = sum(whole(*part) for part in zip(*cut)) / 3
alike = torch.allclose(piped(3), mean)
print("3 parts: the mean of the parts' own gradients:", alike)
dist.destroy_process_group()
assert alike
assert max(off[parts] for parts in (1, 2, 5, 10)) < 1e-14
assert min(off[3], off[8]) > 0.1, "unequal parts are weighed by their samples now"
END
