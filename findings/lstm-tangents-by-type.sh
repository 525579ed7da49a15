#!/usr/bin/env bash
# torch 2.15.0, on an x86 CPU
#
# Behaviour: torch.func.jvp through nn.LSTM raises NotImplementedError ("forward AD with mkldnn_rnn_layer") in float32,
# and gives the tangent in float64 and bfloat16. nn.RNN and nn.GRU have it in all three; so has the float32 LSTM while
# torch.backends.mkldnn.enabled is False. Double backward through it works and is right with and without that kernel.
# Seen: one layer of three by three types raises; the tangent without the kernel is the float64 one to 1e-6.
#
# Guessed: what has a second derivative by double backward has tangents as well, and if a type of numbers has none it
# is one of few bits. A check of derivatives in float64, as gradcheck wants it, is then safe for float32.
#
# Why it surprises: the type decides which of two implementations runs, and only the usual one lacks the derivative:
# whoever tests in float64 sees it in the first real run.
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
from torch import nn
from torch.func import jvp

assert torch.__version__.startswith("2.15.0"), torch.__version__
torch.manual_seed(0)
layers = {"RNN": nn.RNN(2, 8), "GRU": nn.GRU(2, 8), "LSTM": nn.LSTM(2, 8)}
x, v = torch.randn(2, 5, 3, 2)


def tangent(layer, dtype):
    layer = layer.to(dtype)
    return jvp(lambda x: layer(x)[0], (x.to(dtype),), (v.to(dtype),))[1].double()


for name, layer in layers.items():
    right = tangent(layer, torch.float64)
    for dtype in (torch.float32, torch.bfloat16):
        try:
            found = tangent(layer, dtype)
            assert (found - right).norm() < 0.05 * right.norm(), "wrong numbers"
            raised = False
        except NotImplementedError as error:
            assert "mkldnn_rnn_layer" in str(error)
            raised = True
        print(f"{name:5} {dtype}: {'raises' if raised else 'a tangent'}")
        assert raised == (name == "LSTM" and dtype == torch.float32), f"{name} has changed"

lstm = layers["LSTM"].double()
right = tangent(lstm, torch.float64)


def twice(layer, x):
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    return torch.autograd.grad(g.square().sum(), x)[0].double()


exact = twice(lstm, x.double())
for kernel in (True, False):
    torch.backends.mkldnn.enabled = kernel
    error = float((twice(lstm.float(), x) - exact).norm() / exact.norm())
    print(f"double backward, kernel {'on ' if kernel else 'off'}: relative error {error:.0e}")
    assert error < 1e-5
error = float((tangent(lstm, torch.float32) - right).norm() / right.norm())
print(f"float32 tangent without the kernel: relative error {error:.0e}")
assert error < 1e-5
END
