#!/usr/bin/env bash
# bound-propagation 0.4.7 (with torch 2.15.0)
#
# Behaviour: CROWN's bounds over a ball of an Lp norm (LpNormSet) do not hold. They need the norm of each row of weights
# under the dual exponent p / (p - 1) and take p / (1 - p), which is negative: for p = 2 the "norm" of exponent -2,
# which is smaller than the row's smallest entry. For p = inf the bounds are nan. Boxes (HyperRectangle) are right, and
# so are intervals over the ball, which go by its bounding box.
# Seen: one linear layer of 20 inputs, where CROWN is exact by theory: bounds 356, 556 and 933 times too narrow
# (medians) for p = 1.5, 2 and 3. Of a network with one ReLU layer, the values of 6,000 random points of each sphere:
# all leave the bounds.
#
# Guessed: for a linear layer the bounds are those of Hölder's inequality, and a method of verification, if it errs,
# errs to the safe side. The package's docstring only leaves out p = 1.
#
# Why it surprises: the wrong bounds look like good ones. They are tighter than those of intervals, by more in more
# dimensions, and contain the centre's value: in a table of certified inputs, this norm is simply the easy one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 bound-propagation==0.4.7
fi
cd "$place"
"$python" -W ignore - <<'END'
from importlib.metadata import version

import torch
from bound_propagation import BoundModelFactory, HyperRectangle, LpNormSet
from torch import nn

assert version("bound-propagation") == "0.4.7"
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
EPS = 0.1


def sphere(p, shape):
    points = torch.randn(shape)
    return EPS * points / torch.linalg.vector_norm(points, p, dim=-1, keepdim=True)


def share_outside(bounds, values):  # values: points, inputs, outputs
    return float(((values < bounds.lower - 1e-9) | (values > bounds.upper + 1e-9)).any(-1).double().mean())


centres = torch.randn(3, 20)
layer = nn.Linear(20, 5)
network = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5))
for p in (1.5, 2.0, 3.0):
    q = p / (p - 1)
    bounds = BoundModelFactory().build(nn.Sequential(layer)).crown(LpNormSet(centres, EPS, p)).concretize()
    lengths = torch.linalg.vector_norm(layer.weight, q, dim=1, keepdim=True)
    farthest = EPS * layer.weight.sign() * (layer.weight.abs() / lengths) ** (q - 1)  # of the ball, for each output
    assert torch.allclose(torch.linalg.vector_norm(farthest, p, dim=1), torch.tensor(EPS))
    reached = (layer(centres[:, None] + farthest) - layer(centres)[:, None]).diagonal(dim1=1, dim2=2)
    assert torch.allclose(reached, EPS * lengths.T.expand(3, 5))  # Hölder's bound is attained
    narrow = float((2 * reached / (bounds.upper - bounds.lower)).median())
    ball = BoundModelFactory().build(network)
    values = network(centres + sphere(p, (2000, 3, 20)))
    crown = share_outside(ball.crown(LpNormSet(centres, EPS, p)).concretize(), values)
    intervals = share_outside(ball.ibp(LpNormSet(centres, EPS, p)), values)
    print(f"p = {p}: linear layer {narrow:.0f} times too narrow; with a ReLU, {crown:.0%} of the points", end=" ")
    print(f"leave CROWN's bounds, {intervals:.0%} the intervals")
    assert narrow > 10 and crown > 0.9 and intervals == 0, "it has changed"
endless = BoundModelFactory().build(network).crown(LpNormSet(centres, EPS, float("inf"))).concretize()
box = BoundModelFactory().build(network).crown(HyperRectangle.from_eps(centres, EPS)).concretize()
corners = network(centres + EPS * torch.randn(2000, 3, 20).sign())
print(f"p = inf: {endless.lower[0, 0]}; as a box: {share_outside(box, corners):.0%} outside")
assert endless.lower.isnan().all() and share_outside(box, corners) == 0
END
