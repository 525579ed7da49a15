#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: at an input of exactly 0, the gradient of prelu in its input is the slope, and the derivative of that
# gradient in the slope is said to be 0, by double backward and by forward over reverse. At -1e-300 it is 1.
# Seen: slope 0.25 and 0.5, input 0: gradients 0.25 and 0.5, and second derivative 0.
#
# Guessed: whichever one-sided derivative is chosen at the kink, all derivatives choose the same side; leaky_relu
# as where(x > 0, x, slope * x), written out, gives gradient 0.25 and second derivative 1.
#
# Why it surprises: exact zeros are frequent (after a ReLU, of padding, of pruned inputs), and both ways of
# differentiating twice agree with each other, so that comparing them finds nothing.
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
from torch.func import grad, jacfwd

assert torch.__version__.startswith("2.15.0"), torch.__version__


def twice(function, at, slope):
    """Return the derivative in x, and that derivative's in the slope, by both ways."""
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    a = torch.tensor([slope], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(function(x, a).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), a)
    mixed = jacfwd(lambda a: grad(lambda x: function(x, a).sum())(x.detach()))(a.detach())
    return float(first), float(second), float(mixed)


def written_out(x, a):
    return torch.where(x > 0, x, a * x)


for name, function in (("prelu", F.prelu), ("written out", written_out)):
    for at in (-1e-300, 0.0, 1e-300):
        found = {slope: twice(function, at, slope) for slope in (0.25, 0.5)}
        slopes = (found[0.5][0] - found[0.25][0]) / 0.25  # of the gradient that is computed
        print(f"{name:12} x = {at:7.0e}: gradient {found[0.25][0]}, in the slope {found[0.25][1:]}, differences {slopes}")
        for _, second, mixed in found.values():
            assert second == mixed
            wrong = name == "prelu" and at == 0
            assert (second != slopes) == wrong, "it has changed"
END
