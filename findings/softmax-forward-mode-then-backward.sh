#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: torch.autograd.grad of the tangent that torch.autograd.forward_ad carries through softmax, log_softmax or
# logsumexp raises "one of the variables needed for gradient computation has been modified by an inplace
# operation". torch.func.grad of torch.func.jvp of the same functions works and is right, as is double backward;
# and so is the raising way through tanh, sigmoid and elu.
# Seen: the tensor named in the error is "output 0 of Exp", which no line of the user's made.
#
# Guessed: torch.func.jvp is the same machinery in another dress, so what one can differentiate the other can.
#
# Why it surprises: the message blames an in-place operation of the caller, and there is none: the formula of the
# forward derivative has it. Attention and cross-entropy are the functions that meet it.
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
import torch
import torch.autograd.forward_ad as forward_mode
import torch.nn.functional as F
from torch.func import grad, jvp

assert torch.__version__.startswith("2.15.0"), torch.__version__


def by_func(loss, x, v):
    return grad(lambda x: jvp(loss, (x,), (v,))[1])(x)


def by_double_backward(loss, x, v):
    return grad(lambda x: (grad(loss)(x) * v).sum())(x)


def by_dual(loss, x, v):
    x = x.clone().requires_grad_()
    with forward_mode.dual_level():
        tangent = forward_mode.unpack_dual(loss(forward_mode.make_dual(x, v))).tangent
        return torch.autograd.grad(tangent, x)[0]


RAISES = {
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
}
WORKS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "elu": F.elu}
torch.manual_seed(0)
x, v = torch.randn(2, 5, 6, dtype=torch.float64)
for name, function in (RAISES | WORKS).items():
    def loss(x, function=function):
        return function(x).square().sum()

    right = by_double_backward(loss, x, v)
    assert torch.allclose(by_func(loss, x, v), right, rtol=1e-12)
    try:
        raised = not torch.allclose(by_dual(loss, x, v), right, rtol=1e-12)
        assert not raised, "wrong numbers"
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)
        raised = True
    print(f"{name:12} dual tensors, then backward: {'raises' if raised else 'right'}")
    assert raised == (name in RAISES), f"{name} has changed"
END
