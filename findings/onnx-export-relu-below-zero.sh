#!/usr/bin/env bash
# torch 2.15.0 with onnxscript 0.7.2 (and onnx 1.23.2)
#
# Behaviour: torch.onnx.export, as it is called by everybody, writes a network that ends in a ReLU and returns negative
# numbers, where the ReLU follows a clamp whose upper bound is negative. onnxscript's optimiser makes one Clip of the
# two by the larger of the lower and the smaller of the upper bounds. If the intervals are disjoint that Clip has min >
# max, for which ONNX prescribes max; but in the network the second operator has the last word.
# Seen: relu(x.clamp(max=-0.2)) is 0 in PyTorch and -0.2 in the file, x.clamp(max=-0.5).clamp(min=0.25) is 0.25 and
# -0.5. With optimize=False, and with intervals that overlap, the file is right.
#
# Guessed: a ReLU's output is never negative, whatever an optimiser does; bounds that contradict each other are an
# input that it leaves alone. The rule that joins Min and Max, in the same folder, does check them and leaves them.
#
# Why it surprises: such a unit is merely dead, as many units of trained, pruned or quantised networks are, and
# contributes 0. In the file it contributes a constant, so that all outputs behind it are shifted. Nothing is raised.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
fi
cd "$place"
"$python" -W ignore - <<'END'
from importlib.metadata import version

import numpy as np
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

assert torch.__version__.startswith("2.15.0") and version("onnxscript") == "0.7.2"


class Network(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


CASES = {
    "relu(x.clamp(max=-0.2))": (lambda x: x.clamp(max=-0.2).relu(), False),
    "x.clamp(max=-0.5).clamp(min=0.25)": (lambda x: x.clamp(max=-0.5).clamp(min=0.25), False),
    "relu(x.clamp(-1.0, 0.5))": (lambda x: x.clamp(-1.0, 0.5).relu(), True),
    "x.clamp(min=0.25).clamp(max=-0.5)": (lambda x: x.clamp(min=0.25).clamp(max=-0.5), True),
}
x = torch.linspace(-2, 2, 9)
for name, (function, right) in CASES.items():
    wanted = function(x).numpy()
    found = {}
    for optimize in (False, True):
        model = torch.onnx.export(Network(function), (x,), optimize=optimize, verbose=False).model_proto
        (feed,) = (value.name for value in model.graph.input)
        (found[optimize],) = ReferenceEvaluator(model).run(None, {feed: x.numpy()})
    nodes = [node.op_type for node in model.graph.node]
    print(f"{name}: {wanted.min():g} to {wanted.max():g},", end=" ")
    print(f"in the file {found[True].min():g} to {found[True].max():g}", nodes)
    assert np.allclose(found[False], wanted)
    assert np.allclose(found[True], wanted) == right, "it has changed"
END
