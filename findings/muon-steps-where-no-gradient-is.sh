#!/usr/bin/env bash
# torch 2.15.0 (torch.optim.Muon, a CPU)
#
# Behaviour: Muon iterates on the gradient in bfloat16, also for parameters in float32 and float64. Its five
# iterations multiply small singular values by up to 485, and bfloat16's rounding is one of them: a gradient
# of low rank gets a step of full rank.
# Seen: a layer of 256 by 256 in float64. Of the squared length of the first step 58 % lies outside the rows
# and columns that the gradient has when the batch is one sample, 34 % with four, 8 % with sixteen. The same
# iterations in float32 leave less than a millionth of it there. With one sample the step's cosine with that of the
# float32 iterations is 0.65.
#
# Guessed: a step inside the gradient's own rows and columns, with singular values near one, and errors
# of a bfloat16's size, half a percent.
#
# Why it surprises: a linear layer's gradient has at most the rank of its batch. Gradient descent, and Muon in
# exact numbers, move the layer along inputs that it has seen and along no others; this step moves it along
# all others as well, by rounding, and with one sample more than along its own.
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

assert torch.__version__.startswith("2.15.0"), torch.__version__
N = 256


def muon(gradient):
    weight = torch.nn.Parameter(torch.zeros_like(gradient))
    optimiser = torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False)
    weight.grad = gradient.clone()
    optimiser.step()
    assert weight.dtype == torch.float64
    return -weight.detach()


def single(gradient):
    """The iterations that the documentation gives, in float32."""
    step = (gradient / gradient.norm()).float()
    for _ in range(5):
        square = step @ step.T
        step = 3.4445 * step + (-4.775 * square + 2.0315 * square @ square) @ step
    return step.double()


def outside(step, gradient, rank):
    """The share of a step's squared length that is not in the gradient's rows and columns."""
    left, _, right = torch.linalg.svd(gradient)
    left, right = left[:, :rank], right[:rank]
    inside = left @ (left.T @ step @ right.T) @ right
    return 1 - (inside.norm() / step.norm()).item() ** 2


shares = {}
for samples in (1, 4, 16):
    torch.manual_seed(0)
    inputs, slopes = torch.randn(2, samples, N, dtype=torch.float64)
    gradient = slopes.T @ inputs / samples
    ours, plain = muon(gradient), single(gradient)
    shares[samples] = outside(ours, gradient, samples)
    cosine = torch.nn.functional.cosine_similarity(ours.flatten(), plain.flatten(), dim=0)
    print(f"{samples:>2} samples: {shares[samples]:.0%} of the step outside the gradient's rows and "
          f"columns, cosine with float32's {cosine:.2f}")
    assert outside(plain, gradient, samples) < 1e-6
assert shares[1] > 0.5, "Muon iterates in more digits now"
assert shares[4] > 0.2
assert shares[16] > 0.05
END
