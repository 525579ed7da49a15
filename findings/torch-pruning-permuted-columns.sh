#!/usr/bin/env bash
# torch-pruning 1.6.1 (with torch 2.15.0)
#
# Behaviour: removing channels of a convolution removes the wrong columns of the linear layer behind it, where the
# network moves its channels to the end before it flattens them: permute(0, 2, 3, 1).flatten(1). The dependency graph
# sees that the linear layer has 16 inputs a channel and takes them for 16 in a row, as they are without the
# permutation.
# Seen: a convolution with two dead channels of six (weights and bias 0), which a pruner by magnitude picks, as it
# should. Flattened directly, the pruned network computes the same. Permuted, outputs of at most 0.56 change by up to
# 0.57; all shapes fit, and the columns kept are those of a network without the permutation.
#
# Guessed: the graph follows indices through a permutation, or refuses. It does follow them through concatenations,
# chunks and residual sums, which came out right.
#
# Why it surprises: nothing is raised, since the number of columns is right. The loss of accuracy looks like the price
# of pruning, is taken for it, and fine-tuning hides it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 torch-pruning==1.6.1
fi
cd "$place"
"$python" -W ignore - <<'END'
import copy
from importlib.metadata import version

import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn

assert version("torch-pruning") == "1.6.1"
DEAD = [1, 4]


class Network(nn.Module):
    def __init__(self, permuted):
        super().__init__()
        self.permuted = permuted
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.linear = nn.Linear(6 * 16, 5)
        with torch.no_grad():
            self.conv.weight[DEAD] = 0
            self.conv.bias[DEAD] = 0

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.conv(x)), 2)  # (N, 6, 4, 4)
        return self.linear((h.permute(0, 2, 3, 1) if self.permuted else h).flatten(1))


for permuted in (False, True):
    torch.manual_seed(0)
    network, x = Network(permuted).eval(), torch.randn(8, 3, 8, 8)
    pruned = copy.deepcopy(network)
    torch_pruning.pruner.BasePruner(
        pruned,
        x,
        importance=torch_pruning.importance.MagnitudeImportance(target_types=[nn.Conv2d]),
        pruning_ratio=1 / 3,
        ignored_layers=[pruned.linear],
    ).step()
    kept = [c for c in range(6) if c not in DEAD]
    assert torch.equal(pruned.conv.weight, network.conv.weight[kept])
    last = network.linear.weight.view(5, 16, 6)[:, :, kept].flatten(1)
    first = network.linear.weight.view(5, 6, 16)[:, kept].flatten(1)
    assert pruned.linear.weight.shape == last.shape == first.shape
    with torch.no_grad():
        wanted = network(x)
        change = float((pruned(x) - wanted).abs().max())
    print(f"permuted {permuted}: outputs up to {wanted.abs().max():.2f} change by up to {change:.2f};", end=" ")
    print(f"columns as without a permutation: {torch.equal(pruned.linear.weight, first)}")
    assert torch.equal(pruned.linear.weight, first)
    with torch.no_grad():
        pruned.linear.weight.copy_(last if permuted else first)
        assert torch.allclose(pruned(x), wanted, atol=1e-5)
    assert (change > 0.1) == permuted, "it has changed"
END
