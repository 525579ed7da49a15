#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: torch.manual_seed takes a 64-bit seed and torch.initial_seed gives all of it back, but
# the generator of the CPU draws by the lower 32 bits alone: seeds that differ above them draw the same.
# Seen: manual_seed(5) and manual_seed(5 + (1 << 40)) give equal randn, randperm and dropout masks,
# while their initial_seed differs.
#
# Guessed: other seeds, other numbers. The documentation gives the range of seeds as that of 64 bits.
#
# Why it surprises: packing a rank or an epoch into the upper half of a seed (`seed + (rank << 40)`) is
# the usual way to get streams that cannot meet, and gives every worker the same masks on a CPU.
# NumPy's default_rng uses all bits of the same seeds.
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
import numpy as np
import torch

assert torch.__version__.startswith("2.15.0"), torch.__version__


def draws(seed):
    torch.manual_seed(seed)
    masks = torch.nn.functional.dropout(torch.ones(1000), 0.5)
    return torch.initial_seed(), torch.cat([torch.randn(1000), torch.randperm(1000), masks])


(low, few), (high, many) = draws(5), draws(5 + (1 << 40))
_, other = draws(6)
print("initial seeds:", low, high)
print("the same numbers:", torch.equal(few, many))
assert low != high
assert not torch.equal(few, other)
ours, theirs = (np.random.default_rng(seed).random(9) for seed in (5, 5 + (1 << 40)))
assert not np.array_equal(ours, theirs)
assert torch.equal(few, many), "torch now uses the upper bits"
END
