#!/usr/bin/env bash
# onnx 1.23.2
#
# Behaviour: ONNX's reference evaluator, which says what each operator means, cannot run a transposed convolution in
# groups, unless there is one group or every group has one channel in and one out. The checker and shape inference
# accept the same models.
# Seen: 2 groups with 2 channels in and 2 out each, 2 with 1 in and 2 out, and 3 with 1 in and 2 out: ValueError from
# numpy, about shapes. One group of 3 channels, and 4 groups of one: the right values.
#
# Guessed: the reference is slow but complete, and is what other readers of the format are tested against.
#
# Why it surprises: groups are an attribute of the operator since its first version, and the two settings that are tried
# first, none and one group a channel, do work. A reader that checks itself against the reference cannot check this one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet onnx==1.23.2 numpy==2.4.6
fi
cd "$place"
"$python" -W ignore - <<'END'
import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

assert onnx.__version__ == "1.23.2", onnx.__version__
RNG = np.random.default_rng(0)


def by_hand(x, w, groups):
    """Add each input pixel times its kernel to the output, group by group."""
    _, inputs, height, width = x.shape
    per = w.shape[1]
    y = np.zeros((1, groups * per, height + 1, width + 1), np.float32)
    for c in range(inputs):
        first = c // (inputs // groups) * per
        for i in range(height):
            for j in range(width):
                y[0, first : first + per, i : i + 2, j : j + 2] += x[0, c, i, j] * w[c]
    return y


for groups, inputs, outputs, right in ((1, 3, 3, True), (4, 4, 4, True), (2, 4, 4, False), (2, 2, 4, False), (3, 3, 6, False)):
    x = RNG.normal(size=(1, inputs, 3, 3)).astype(np.float32)
    w = RNG.normal(size=(inputs, outputs // groups, 2, 2)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=groups)],
        "transposed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs, 4, 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, w.shape, w.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    try:
        (y,) = ReferenceEvaluator(model).run(None, {"x": x})
        said = "right" if np.allclose(y, by_hand(x, w, groups), atol=1e-5) else "other values"
    except ValueError as error:
        said = f"ValueError: {error}"
    print(f"{groups} groups, {inputs} channels to {outputs}: {said}")
    assert said == "right" if right else said.startswith("ValueError"), "it has changed"
END
