#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: torch.utils.flop_counter.FlopCounterMode counts the attention of nn.TransformerEncoderLayer
# in training mode, and next to nothing in eval mode without gradients when the number of heads is even:
# the layer then takes a fused path of which the counter knows no formula. With an odd number of heads
# the same layer, with the same work, is counted. An nn.LSTM counts 0, a GRU of its size is counted.
# Seen: width 12, 4 x 10 tokens: 111,360 with 1 or 3 heads both ways; with 2 or 4 heads 111,360 and 0.
#
# Guessed: the count depends on shapes alone; an operator that is not known is warned about.
#
# Why it surprises: costs of inference are counted in evaluation, without gradients, and heads are nearly
# always even; the total that is printed looks like a count, and is that of another network.
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
from torch.utils.flop_counter import FlopCounterMode

assert torch.__version__.startswith("2.15.0"), torch.__version__


def count(module, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return counter.get_total_flops()


x = torch.randn(4, 10, 12)
found = {}
for heads in (1, 2, 3, 4):
    layer = nn.TransformerEncoderLayer(12, heads, 24, dropout=0.0, batch_first=True)
    found[heads] = (count(layer.train(), x), count(layer.eval(), x))
    print(f"{heads} heads: {found[heads][0]} in training, {found[heads][1]} in evaluation")
gru, lstm = count(nn.GRU(12, 12), x), count(nn.LSTM(12, 12), x)
print("GRU", gru, "LSTM", lstm)
assert all(train > 0 for train, _ in found.values())
assert gru > 0
assert found[1][0] == found[1][1]
assert found[3][0] == found[3][1]
assert found[2][1] == found[4][1] == 0, "even heads are counted now"
assert lstm == 0, "LSTM is counted now"
END
