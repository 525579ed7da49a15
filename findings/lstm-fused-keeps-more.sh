#!/usr/bin/env bash
# torch 2.15.0, on an x86 CPU
#
# Behaviour: nn.LSTM in float32 hands its whole sequence to one kernel, which keeps one block of bytes for the backward
# pass that is more than twice as large as all that the step-by-step LSTM keeps (the one that runs in float64, or with
# torch.backends.mkldnn.enabled = False), though that one keeps every gate of every step as a tensor of its own.
# Seen: for each step, sample and unit 16.4 to 16.7 float32 numbers with the kernel, 7.0 without; a GRU keeps 7.0. The
# difference is invisible in the module: same class, same weights, same outputs and gradients.
#
# Guessed: a fused kernel keeps at most what the composed one keeps; that is what attention's does. So a count of saved
# tensors made in float64, or on another device, was thought to be an upper bound.
#
# Why it surprises: in memory the "slow" LSTM is the frugal one; and a budget that counts the gates by hand (four, a
# cell, its tanh, an output) is right for it and off by more than two for the other.
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

assert torch.__version__.startswith("2.15.0"), torch.__version__


def kept(layer, x):
    """Return the bytes of distinct storages saved for backward, without weights and input, and the gradient."""
    given = {t.untyped_storage().data_ptr() for t in (x, *layer.parameters())}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = layer(x)[0]
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    return sum(size for size, _ in saved.values()), gradient


for T, N, d, H in [(100, 32, 2, 64), (50, 64, 32, 128), (20, 128, 16, 32)]:
    torch.manual_seed(0)
    x, lstm, gru = torch.randn(T, N, d, requires_grad=True), nn.LSTM(d, H), nn.GRU(d, H)
    fused, gradient = kept(lstm, x)
    torch.backends.mkldnn.enabled = False
    plain, same = kept(lstm, x)
    torch.backends.mkldnn.enabled = True
    unit = 4 * T * N * H
    print(f"T={T} N={N} d={d} H={H}: numbers kept a step, sample and unit: "
          f"fused {fused / unit:.1f}, step by step {plain / unit:.1f}, GRU {kept(gru, x)[0] / unit:.1f}")
    assert torch.allclose(gradient, same, atol=1e-5)
    assert fused > 1.5 * plain and plain < 8 * unit
END
