#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: on float64 tensors, the gradient of hardsigmoid on its slope is 1/6 rounded to float32, widened:
# right to seven digits. Its value is right to the last bit of float64, and so is hardswish's gradient.
# Seen: 0.16666667163372040 for 0.16666666666666666; relu6(x + 3) / 6, the same function, is right.
#
# Guessed: a double tensor is differentiated in double precision. torch.autograd.gradcheck asks for float64 for this
# very reason, and passes this one, as its tolerance is 1e-6.
#
# Why it surprises: comparisons of two exact derivatives in float64 stop at 3e-8 in every network with
# squeeze-and-excitation (MobileNetV3), which looks like a fault in one's own derivative.
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

assert torch.__version__.startswith("2.15.0"), torch.__version__


def slope(function, at=0.5):
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(function(x).sum(), x)[0].item()


def by_relu6(x):
    return F.relu6(x + 3) / 6


x = torch.linspace(-4, 4, 101, dtype=torch.float64)
found, single = slope(F.hardsigmoid), float(torch.tensor(1 / 6))
print(f"hardsigmoid {found:.17f}, by relu6 {slope(by_relu6):.17f}, 1/6 as float32 {single:.17f}")
assert (F.hardsigmoid(x) - by_relu6(x)).abs().max() < 1e-15
assert abs(slope(by_relu6) - 1 / 6) < 1e-16
assert abs(slope(F.hardswish) - (2 * 0.5 + 3) / 6) < 1e-15
assert torch.autograd.gradcheck(F.hardsigmoid, x[::7].clone().requires_grad_())
assert found == single, "it has changed"
END
