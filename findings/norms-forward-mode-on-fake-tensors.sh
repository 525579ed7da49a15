#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: forward mode through layer_norm, group_norm or batch_norm in training, with weights, on tensors of a
# FakeTensorMode: the tangent is on the device "meta", its primal on "cpu", and the next sum of the two raises a
# FakeTensorDeviceMismatchError; without weights both are on "cpu", as with rms_norm. In a FakeTensorMode without
# allow_non_fake_inputs the jvp itself raises, and the thread is left without autograd: after leaving the mode,
# results of real tensors that require grad do not require grad, until the process ends. Other threads are fine.
# Seen: x.sin() of a real leaf has requires_grad False and no grad_fn after the error was caught.
#
# Guessed: symbolic tensors differentiate as real ones do, or raise; an error that was caught changes nothing.
#
# Why it surprises: one measures the memory of Hessian-vector products on fake tensors, in a try that skips what
# cannot be measured, and the training that follows in the same process has no gradients.
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
import threading

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError, FakeTensorMode
from torch.func import jvp

assert torch.__version__.startswith("2.15.0"), torch.__version__


def learns():
    """Return whether autograd records what is computed from a real leaf."""
    return torch.ones(2, requires_grad=True).sin().requires_grad


def weights():
    return torch.ones(4), torch.zeros(4)


META = {
    "layer_norm": lambda x: F.layer_norm(x, (4,), *weights()),
    "group_norm": lambda x: F.group_norm(x, 2, *weights()),
    "batch_norm": lambda x: F.batch_norm(x, None, None, *weights(), training=True),
}
RIGHT = {
    "layer_norm without weights": lambda x: F.layer_norm(x, (4,)),
    "batch_norm without weights": lambda x: F.batch_norm(x, None, None, training=True),
    "rms_norm": lambda x: F.rms_norm(x, (4,), torch.ones(4)),
}
for name, function in (META | RIGHT).items():
    real = torch.randn(5, 4)
    out, tangent = jvp(function, (real,), (real,))
    assert out.device == tangent.device == real.device
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.randn(5, 4)
        out, tangent = jvp(function, (x,), (x,))
        assert out.device.type == "cpu"
        assert (tangent.device.type == "meta") == (name in META), f"{name} has changed"
        try:
            tangent + x
            then = "goes on"
        except FakeTensorDeviceMismatchError:
            then = "raises"
    print(f"{name:28} the tangent is on {tangent.device}, its sum with x {then}")
    assert (then == "raises") == (name in META)

assert learns()
try:
    with FakeTensorMode():
        x = torch.randn(5, 4)
        jvp(META["layer_norm"], (x,), (x,))
    raised = False
except RuntimeError as error:
    raised = "INTERNAL ASSERT" in str(error)
elsewhere = []
thread = threading.Thread(target=lambda: elsewhere.append(learns()))
thread.start()
thread.join()
print(f"after the error: autograd records here {learns()}, in another thread {elsewhere[0]}")
assert raised and elsewhere == [True]
assert not learns(), "the error leaves autograd on now"
END
