#!/usr/bin/env bash
# adversarial-robustness-toolbox 1.20.1, scikit-learn 1.9.1
#
# Behaviour: FastGradientMethod on a SklearnClassifier of a LogisticRegression does not move points that the
# model is sure of: beyond a margin of about 37 the "adversarial" point is the input itself, bit for bit.
# The gradient of the loss is p - y, and p has rounded to 1. At margins below, every point moves by eps.
# Seen: two classes of margins up to 51: 49 % of the points do not move at all, though eps = 0.5.
#
# Guessed: the fast gradient *sign* method moves each point by eps in every coordinate of which the model
# takes notice: for a linear model that is the sign of its weights, wherever the point lies.
#
# Why it surprises: the step does not depend on the length of the gradient, which is why the method takes
# its sign; the accuracy under attack that is printed is then too high for the most confident models.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet adversarial-robustness-toolbox==1.20.1 scikit-learn==1.9.1 numpy==2.4.6 packaging==26.3
fi
cd "$place"
"$python" -W ignore - <<'END'
import numpy as np
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import SklearnClassifier
from sklearn.linear_model import LogisticRegression

EPS = 0.5
rng = np.random.default_rng(0)
y = np.repeat([0, 1], 100)
points = rng.normal(0, 0.1, (200, 2)) + (2 * y - 1)[:, None]
for scale, stuck in ((1, False), (30, True)):
    model = LogisticRegression().fit(scale * points, y)
    x = (4 * scale * points).astype(np.float32)
    moved = np.abs(FastGradientMethod(SklearnClassifier(model), eps=EPS).generate(x) - x).max(1)
    margin = np.abs(model.decision_function(x)).max()
    print(f"margins up to {margin:.0f}: {np.mean(moved == 0):.0%} of the points do not move")
    assert np.abs(model.coef_).min() > 0.1
    if stuck:
        assert np.mean(moved == 0) > 0.1, "confident points move now"
    else:
        assert np.allclose(moved, EPS, atol=1e-5)
END
