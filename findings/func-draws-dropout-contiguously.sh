#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: under torch.func.grad or torch.func.jvp, dropout of a tensor that is not contiguous draws its mask in
# the order of the indices; outside, and under autograd, in the order of memory. With one seed, the mask is
# another one, and the gradient is that of another function. On contiguous tensors all masks agree.
# Seen: a (4, 6, 5) tensor transposed to (4, 5, 6) and a channels_last image: torch.func drops other elements than the
# same call without it; its mask is the one of the contiguous copy.
#
# Guessed: torch.manual_seed before a call and before its transform gives the same function: the docs of torch.func
# speak of randomness under vmap alone.
#
# Why it surprises: the loss comes from one call and its gradient from the other, as in Hessian-vector products
# beside a training step; replaying the generator, as checkpointing does, is not enough then.
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
import torch.nn.functional as F
from torch.func import grad, jvp

assert torch.__version__.startswith("2.15.0"), torch.__version__


def dropped(how, x):
    torch.manual_seed(0)
    return how(x) == 0


def dropout(x):
    return F.dropout(x, 0.5, training=True)


def by_autograd(x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(dropout(x).sum(), x)[0]


LAYOUTS = {
    "contiguous": torch.rand(4, 5, 6) + 1,
    "transposed": (torch.rand(4, 6, 5) + 1).transpose(1, 2),
    "channels_last": (torch.rand(2, 3, 4, 5) + 1).to(memory_format=torch.channels_last),
}
for name, x in LAYOUTS.items():
    plain = dropped(dropout, x)
    autograd = dropped(by_autograd, x)
    reverse = dropped(grad(lambda x: dropout(x).sum()), x)
    forward = dropped(lambda x: jvp(dropout, (x,), (torch.ones_like(x),))[1], x)
    copy = dropped(dropout, x.contiguous())
    same = [torch.equal(plain, other) for other in (autograd, reverse, forward)]
    print(f"{name:14} the mask of the plain call: autograd {same[0]}, func.grad {same[1]}, func.jvp {same[2]}")
    assert same[0]
    assert torch.equal(reverse, copy) and torch.equal(forward, copy)
    assert same[1] == same[2] == (name == "contiguous"), f"{name} has changed"
END
