#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: torch.func.linearize of a function that draws random numbers (dropout in training, for one) returns a value
# of one mask and a map of none: every call of the map draws a new mask. The map is not linear, and takes numbers from
# the global generator. torch.func.vjp keeps the mask of its value, and torch.func.jvp uses one for both its results.
# Seen: dropout of 0.5 on 64 numbers: four calls of the map with one tangent give four results, none with the zeros of
# the value. Twice a tangent gives other zeros than the tangent. With the seed that was set before linearize set again
# before the map, the result is jvp's. rrelu, rand_like and randperm do the same.
#
# Guessed: the map is the derivative of the function whose value came with it, and fixed: linearize "saves intermediate
# computation", says its docstring, which has no word on random numbers, and a mask is the first thing to save.
#
# Why it surprises: linearize is for many tangents at one point, as conjugate gradients and Gauss-Newton products need
# them; these then meet another operator at each step. Nothing is raised or warned of, and each result by itself is a
# tangent that the function could have had.
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
from torch.func import jvp, linearize, vjp

assert torch.__version__.startswith("2.15.0"), torch.__version__

torch.manual_seed(1)
x, t = torch.randn(2, 64, dtype=torch.float64)


def seeded(transform, function, *arguments):
    torch.manual_seed(0)
    return transform(function, *arguments)


value, tangent = seeded(jvp, F.dropout, (x,), (t,))
assert torch.equal(value == 0, tangent == 0)  # one mask for both
same, pull = seeded(vjp, F.dropout, x)
assert torch.equal(same, value)
assert all(torch.equal(pull(t)[0], tangent) for _ in range(3))  # a diagonal matrix, so it is its own transpose

same, push = seeded(linearize, F.dropout, x)
assert torch.equal(same, value)
pushed = [push(t) for _ in range(4)]
for number, result in enumerate(pushed):
    shared = int(((result == 0) == (value == 0)).sum())
    print(f"call {number + 1} of the map: {shared} of 64 elements are dropped or kept as in the value")
    assert 10 < shared < 54, "it has changed"
assert not any(torch.equal(pushed[a], pushed[b]) for a in range(4) for b in range(a)), "it has changed"
assert not torch.equal(push(2 * t), 2 * push(t)), "it has changed"

torch.manual_seed(0)
assert torch.equal(push(t), tangent)  # the seed of linearize, set again
before = torch.get_rng_state()
push(t)
assert not torch.equal(torch.get_rng_state(), before), "it has changed"

others = {
    "rrelu": lambda x: F.rrelu(x, training=True),
    "rand_like": lambda x: x * torch.rand_like(x),
    "randperm": lambda x: x[torch.randperm(64)],
    "tanh": torch.tanh,
}
for name, function in others.items():
    value, tangent = seeded(jvp, function, (x,), (t,))
    same, push = seeded(linearize, function, x)
    assert torch.equal(value, same)
    right, fixed = torch.allclose(push(t), tangent), torch.equal(push(t), push(t))
    print(f"{name:9} equals jvp's tangent: {right}, the same twice: {fixed}")
    assert right == fixed == (name == "tanh"), "it has changed"
END
