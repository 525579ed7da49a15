#!/usr/bin/env bash
# torch 2.15.0, with foolbox 3.3.4
#
# Behaviour: since torch 2.14 the slope of x.clamp(low, high) is 0 where x is low or high (issue 195931 of
# pytorch/pytorch); before, it was 1. A model that clamps its images to [0, 1] computes the same as without,
# for every image, but attacks get no gradient for pixels that are exactly black or white.
# Seen: a network of 64 hidden neurons on scikit-learn's digits, half of whose pixels are 0 and a tenth 1; bounds
# (0, 1) given to foolbox. With the clamp in front, the share of test images that are misread falls under BIM from
# 70 to 32 %, under PGD with its random start from 64 to 43 %, under FGSM from 65 to 31 % (all at 0.1), under DDN
# within 0.6 from 77 to 52 %. Pixels that start at a bound are left as they are by BIM and FGSM.
#
# Guessed: the same shares, since the two models are one function on valid images, and clamp has let the
# gradient pass at its bounds for eight years.
#
# Why it surprises: a clamp to the valid range is the usual first line of a careful model. The same script
# reports a network twice as robust after an upgrade, and nothing is said. It is no defence: the attack on
# the network without the clamp fools the one with it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 scipy==1.17.1 foolbox==3.3.4 scikit-learn==1.9.1
fi
cd "$place"
"$python" -W ignore - <<'END'
import foolbox
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

assert torch.__version__.startswith("2.15.0"), torch.__version__
digits = load_digits()
x = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
y = torch.tensor(digits.target)
torch.manual_seed(0)
layers = torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
net = torch.nn.Sequential(*layers)
adam = torch.optim.Adam(net.parameters(), 1e-2)
for _ in range(60):
    for i in torch.randperm(1500).split(100):
        adam.zero_grad()
        cross_entropy(net(x[i]), y[i]).backward()
        adam.step()
x, y = x[1500:], y[1500:]


class Clamped(torch.nn.Module):
    def forward(self, x):
        return net(x.clamp(0, 1))


attacks = foolbox.attacks
tried = {
    "BIM": (attacks.LinfBasicIterativeAttack(steps=40), 0.1),
    "PGD": (attacks.LinfPGD(steps=40), 0.1),
    "FGSM": (attacks.LinfFastGradientAttack(), 0.1),
    "DDN": (attacks.DDNAttack(steps=100), 0.6),
}
assert torch.equal(net(x), Clamped()(x))
share, found = {}, {}
for model in (net.eval(), Clamped().eval()):
    seen = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    for name, (attack, reach) in tried.items():
        torch.manual_seed(1)
        _, (found[name, model is net],), wrong = attack(seen, x, y, epsilons=[reach])
        share[name, model is net] = wrong.float().mean().item()
for name in tried:
    print(f"{name:>4}: misread without the clamp {share[name, True]:.0%}, with it {share[name, False]:.0%}")
at_bound = (x == 0) | (x == 1)
for name in ("BIM", "FGSM"):
    assert torch.equal(found[name, False][at_bound], x[at_bound])
again = (Clamped()(found["BIM", True]).argmax(1) != y).float().mean().item()
print(f"the clamped model misreads {again:.0%} of what BIM found without the clamp")
assert abs(again - share["BIM", True]) < 0.01
assert all(share[name, True] - share[name, False] > 0.1 for name in tried), "the slope is 1 again"
END
