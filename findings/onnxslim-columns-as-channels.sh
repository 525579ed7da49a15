#!/usr/bin/env bash
# onnxslim 0.1.98 (with onnx 1.23.2)
#
# Behaviour: onnxslim.slim folds a constant factor after a convolution into the convolution's weights whenever the
# factor, squeezed, has as many entries as there are output channels. Along which axis it lies is not asked: a factor
# for each column, each row or each image of the batch becomes a factor for each channel.
# Seen: 4 channels of 4 x 4: right with a factor of shape (1, 4, 1, 1), other values with (4,), (4, 1) and (4, 1, 1,
# 1); with 3 x 3 pixels nothing is folded and (3,) and (3, 1) are right. A constant summand of the same shapes is
# always right.
#
# Guessed: a simplifier keeps the function, and where a shape is ambiguous by its length the axis decides, as it does
# for the sum, in the file beside it.
#
# Why it surprises: it needs a coincidence that is common, as many channels as columns (16 channels at 16 x 16), so a
# network is right at one resolution and wrong at another. The model passes onnx.checker, and all shapes stay as they
# were.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet onnx==1.23.2 numpy==2.4.6 onnxslim==0.1.98
fi
cd "$place"
"$python" -W ignore - <<'END'
from importlib.metadata import version

import numpy as np
import onnx
import onnxslim
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

assert version("onnxslim") == "0.1.98"
rng = np.random.default_rng(0)
CHANNELS = 4


def example(operator, size, shape, images):
    """Return a model, an input and the output by hand: a 1 x 1 convolution is a product of matrices."""
    weights = rng.normal(size=(CHANNELS, 2, 1, 1)).astype(np.float32)
    factor = rng.uniform(1, 2, shape).astype(np.float32)
    x = rng.normal(size=(images, 2, size, size)).astype(np.float32)
    convolved = np.einsum("oi,nihw->nohw", weights[:, :, 0, 0], x)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node(operator, ["a", "c"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, convolved.shape)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(factor, "c")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model, x, convolved * factor if operator == "Mul" else convolved + factor


CASES = [  # size of the image, shape of the constant, right after onnxslim
    (4, (1, 4, 1, 1), True),
    (4, (4,), False),
    (4, (4, 1), False),
    (4, (4, 1, 1, 1), False),
    (3, (3,), True),
    (3, (3, 1), True),
]
for operator in ("Mul", "Add"):
    for size, shape, right in CASES:
        model, x, by_hand = example(operator, size, shape, 4 if len(shape) == 4 and shape[0] == 4 else 1)
        onnx.checker.check_model(model, full_check=True)
        (before,) = ReferenceEvaluator(model).run(None, {"x": x})
        assert np.allclose(before, by_hand, atol=1e-5)
        slim = onnxslim.slim(model)
        onnx.checker.check_model(slim, full_check=True)
        (after,) = ReferenceEvaluator(slim).run(None, {"x": x})
        same = after.shape == before.shape and np.allclose(after, before, atol=1e-5)
        nodes = " ".join(node.op_type for node in slim.graph.node)
        said = "the same" if same else "other values"
        print(f"{operator}, {size} x {size} pixels, constant {shape}: {said}, {nodes}")
        assert same == (right or operator == "Add"), "it has changed"
END
