#!/usr/bin/env bash
# torch 2.15.0 with onnxscript 0.7.2 (and onnx 1.23.2)
#
# Behaviour: torch.onnx.export drops the divisor of avg_pool2d and avg_pool3d. With divisor_override=1 the operator
# sums, the usual way to write sum pooling; the file has an AveragePool, which divides by the size of the window. Both
# exporters do so, that of torch.export and the old one of TorchScript (dynamo=False).
# Seen: 3 x 3 windows: the file's values are a ninth of PyTorch's; 2 x 2 x 2: an eighth; with divisor_override=9 they
# agree in 3 x 3 windows, where it changes nothing.
#
# Guessed: what an exporter cannot write it refuses: an argument that changes every value of the output is not
# optional, and writing it takes one multiplication.
#
# Why it surprises: a factor is an error that hides: shapes stay, and where a normalisation or an argmax follows, so do
# the classes; margins, certificates and distances are those of another function.
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
import io
from importlib.metadata import version

import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

assert torch.__version__.startswith("2.15.0") and version("onnxscript") == "0.7.2"
torch.manual_seed(0)
CASES = {  # network, input, factor of PyTorch's values over those of the file
    "sums of 3 x 3": (nn.AvgPool2d(3, divisor_override=1), torch.rand(1, 2, 6, 6), 9),
    "sums of 2 x 2 x 2": (nn.AvgPool3d(2, divisor_override=1), torch.rand(1, 2, 4, 4, 4), 8),
    "averages, by hand": (nn.AvgPool2d(3, divisor_override=9), torch.rand(1, 2, 6, 6), 1),
    "averages": (nn.AvgPool2d(3, divisor_override=None), torch.rand(1, 2, 6, 6), 1),
}
for name, (network, x, factor) in CASES.items():
    found = []
    for dynamo in (True, False):
        file = io.BytesIO()
        torch.onnx.export(network, (x,), file, dynamo=dynamo, input_names=["x"], verbose=False)
        found += ReferenceEvaluator(onnx.load_from_string(file.getvalue())).run(None, {"x": x.numpy()})
    windows, size = x, network.kernel_size
    for axis in range(2, x.ndim):
        windows = windows.unfold(axis, size, size)
    assert torch.allclose(network(x), windows.flatten(x.ndim).sum(-1) / (network.divisor_override or size**2))
    times = [float((network(x) / torch.from_numpy(values)).mean()) for values in found]
    print(f"{name:18} PyTorch over the file: {times[0]:g}, of the old exporter {times[1]:g}")
    assert all(torch.allclose(network(x), factor * torch.from_numpy(values)) for values in found), "it has changed"
END
