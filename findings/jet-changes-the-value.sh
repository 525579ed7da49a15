#!/usr/bin/env bash
# jax 0.10.2 (jax.experimental.jet, a CPU)
#
# Behaviour: jet, which carries Taylor series, gives lax.rem and jnp.fmod the value of another function where the signs
# of the two operands differ: its rule is x - y * floor(x / y), and these two round the quotient towards zero. The
# value itself changes, by one divisor, and so does the derivative in the divisor, by 1. jnp.remainder, which is
# made of lax.rem, is right, and so are all of them under jvp.
# Seen: fmod(-5.5, 2) is -1.5, with slope 2 in the divisor; jet says 0.5 and 3. fmod(5.5, -2) is 1.5 and 2; jet says
# -0.5 and 3. With equal signs both are right.
#
# Guessed: a transformation returns the value of the function it is given, to the last bit or nearly. Where jet has no
# rule it raises KeyError, as for sort, atan and solve; a rule that exists was thought to be right. We tried 142
# functions: it raised for 53, and in all others but this one agreed with nested jvp up to the fourth derivative, to
# 1e-7 (attention to 5e-6).
#
# Why it surprises: one checks derivatives, and takes the value from the transformation, for it comes with them. The
# error is not one of rounding, but it is gone wherever both operands are positive, as in most tests.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
fi
cd "$place"
JAX_PLATFORMS=cpu "$python" -W ignore - <<'END'
import math

import jax
import jax.numpy as jnp
from jax.experimental.jet import jet

assert jax.__version__ == "0.10.2"
jax.config.update("jax_enable_x64", True)


def forward(function, at):
    value, slope = jax.jvp(function, (at,), (1.0,))
    return float(value), float(slope)


def series(function, at):
    value, (slope, bend) = jet(function, (at,), ([1.0, 0.0],))
    assert bend == 0
    return float(value), float(slope)


for name, function in {"fmod": jnp.fmod, "rem": jax.lax.rem, "remainder": jnp.remainder}.items():
    for x, y in ((5.5, 2.0), (-5.5, 2.0), (5.5, -2.0), (-5.5, -2.0)):
        right = {"in x": forward(lambda x: function(x, y), x), "in y": forward(lambda y: function(x, y), y)}
        if name != "remainder":
            assert right["in x"][0] == math.fmod(x, y)
        seen = {"in x": series(lambda x: function(x, y), x), "in y": series(lambda y: function(x, y), y)}
        assert seen == {"in x": series(jax.jit(lambda x: function(x, y)), x), "in y": seen["in y"]}
        print(f"{name}({x}, {y}) = {right['in x'][0]}, slopes {right['in x'][1]} and {right['in y'][1]};", end=" ")
        print(f"jet: {seen['in x'][0]}, slopes {seen['in x'][1]} and {seen['in y'][1]}")
        if name == "remainder" or x * y > 0:
            assert seen == right, "it has changed"
        else:
            value, slope = right["in y"]
            assert seen["in x"] == (value + y, 1.0) and seen["in y"] == (value + y, slope + 1), "it has changed"
    try:
        jet(jnp.arctan, (0.5,), ([1.0, 0.0],))
    except KeyError:
        continue
    raise AssertionError("it has changed: jet has a rule for atan")
END
