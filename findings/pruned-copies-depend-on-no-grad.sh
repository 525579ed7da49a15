#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: copy.deepcopy of a module after torch.nn.utils.prune raises "Only Tensors created explicitly by the user
# (graph leaves) support the deepcopy protocol", until a forward pass has run under torch.no_grad; then it works,
# and after the next forward pass with gradients it raises again. torch.save works at any time.
# Seen: Linear(3, 3), l1_unstructured: raises, works after evaluation, raises after training.
#
# Guessed: whether a module can be copied does not depend on the mode in which it was last called; the computed
# weight is a plain attribute that the next forward pass overwrites, so that a copy needs none.
#
# Why it surprises: AveragedModel (its copy is the first thing it makes), early stopping and the rewinding of
# lottery tickets copy models, and pass or fail by whether an evaluation came last.
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
import copy
import io

import torch
from torch import nn
from torch.nn.utils import prune
from torch.optim.swa_utils import AveragedModel

assert torch.__version__.startswith("2.15.0"), torch.__version__


def copied(module):
    """Return whether deepcopy and AveragedModel work; saving always does."""
    torch.save(module, io.BytesIO())
    done = []
    for way in (copy.deepcopy, AveragedModel):
        try:
            way(module)
            done.append(True)
        except RuntimeError as error:
            assert "deepcopy protocol" in str(error)
            done.append(False)
    return done


x = torch.randn(2, 3)
pruned = nn.Linear(3, 3)
assert copied(pruned) == [True, True]
prune.l1_unstructured(pruned, "weight", 0.5)
seen = {"pruned": copied(pruned)}
with torch.no_grad():
    pruned(x)
seen["evaluated"] = copied(pruned)
pruned(x)
seen["called with gradients"] = copied(pruned)
for name, done in seen.items():
    print(f"{name:22} deepcopy {done[0]}, AveragedModel {done[1]}")
assert list(seen.values()) == [[False] * 2, [True] * 2, [False] * 2], "it has changed"
prune.remove(pruned, "weight")
assert copied(pruned) == [True, True]
END
