"""Networks in ONNX files compute what ONNX's own reference computes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from localbook.errors import ConfigError
from localbook.tropical import decision_boundary, from_onnx

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def integers(*values):
    return np.array(values, dtype=np.int64)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def model(shape, nodes, opset=17, **constants):
    """Return a model in float64 from x of this shape to y."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, shape)],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
        [numpy_helper.from_array(np.asarray(c), name) for name, c in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def read(made, path):
    file = path / "network.onnx"
    onnx.save(made, file)
    return from_onnx(file)


IMAGE = [1, 2, 6, 5]
MODELS = {
    "verification competition, fully connected": model(
        [1, 1, 1, 5],
        [
            node("Sub", "x mean", "a"),
            node("Flatten", "a", "b", axis=1),
            node("MatMul", "b w", "c"),
            node("Add", "c v", "d"),
            node("Relu", "d", "e"),
            node("Gemm", "e u v", "y", transB=1, alpha=0.5, beta=2.0),
        ],
        mean=normal(5), w=normal(5, 4), v=normal(4), u=normal(4, 4),
    ),
    "residual": model(
        ["N", 2, 6, 5],
        [
            node("Conv", "x k b", "c", pads=[1, 1, 1, 1], group=2),
            node("BatchNormalization", "c s b m s", "n", epsilon=1e-3),
            node("Relu", "n", "r"),
            node("Add", "r x", "a"),
            node("MaxPool", "a", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("GlobalAveragePool", "p", "g"),
            node("Reshape", "g sizes", "f"),
            node("MatMul", "f w", "y"),
        ],
        k=normal(2, 1, 3, 3), b=normal(2), s=normal(2) ** 2, m=normal(2), w=normal(2, 3),
        sizes=integers(0, -1),
    ),
    "shapes that are computed": model(
        IMAGE,
        [
            node("AveragePool", "x", "p", kernel_shape=[2, 2], pads=[1, 0, 1, 0]),
            node("Shape", "p", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n axes", "m"),
            node("Constant", "", "rest", value=numpy_helper.from_array(integers(-1))),
            node("Concat", "m rest", "t", axis=0),
            node("Reshape", "p t", "f"),
            node("Slice", "f starts ends one steps", "y"),
        ],
        zero=np.int64(0), axes=integers(0), starts=integers(-1), ends=integers(0), one=integers(1),
        steps=integers(-3),
    ),
    "moving": model(
        IMAGE,
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("Split", "t sizes", "u v", axis=1),
            node("ReduceMean", "v", "w", axes=[1]),
            node("Pad", "u pads value", "p"),
            node("Gather", "p places", "g", axis=2),
            node("ReduceMax", "g", "h", axes=[1], keepdims=0),
            node("Squeeze", "w one", "q"),
            node("Concat", "h q", "y", axis=1),
        ],
        sizes=integers(4, 2), pads=integers(0, 1, 0, 0, 0, 0, 1, 0), value=np.float64(0.3),
        one=integers(1), places=integers(0, 2, -1),
    ),
    "activations": model(
        [1, 6],
        [
            node("LeakyRelu", "x", "a", alpha=0.2),
            node("PRelu", "a slopes", "b"),
            node("Clip", "b low high", "c"),
            node("Max", "x c b", "d"),
            node("Min", "d high", "e"),
            node("Abs", "e", "f"),
            node("Neg", "f", "g"),
            node("Sum", "g x c", "h"),
            node("Mul", "h slopes", "i"),
            node("Div", "i high", "j"),
            node("Dropout", "j", "k"),
            node("Softmax", "k", "y", axis=1),
        ],
        slopes=normal(6), low=np.float64(-0.5), high=np.float64(0.7),
    ),
    "padding of its own": model(
        IMAGE,
        [
            node("Conv", "x k", "c", auto_pad="SAME_LOWER", strides=[2, 1], dilations=[1, 2]),
            node("ConvTranspose", "c t b", "d", strides=[2, 2], pads=[1, 0, 0, 1]),
            node("MaxPool", "d", "e", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
            node("Flatten", "e", "f", axis=2),
            node("ReduceSum", "f one", "y", keepdims=0),
        ],
        k=normal(3, 2, 3, 2), t=normal(3, 2, 3, 3), b=normal(2), one=integers(1),
    ),
    "slopes for each channel": model(
        IMAGE, [node("PRelu", "x slopes", "a"), node("Flatten", "a", "y")],
        slopes=normal(2, 1, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_read_as_its_reference(name, tmp_path):
    made = MODELS[name]
    network = read(made, tmp_path)
    shape = [axis.dim_value or 1 for axis in made.graph.input[0].type.tensor_type.shape.dim]
    for point in normal(5, *shape):
        expected = ReferenceEvaluator(made).run(None, {"x": point})[0].ravel()
        scores = network(point.reshape(1, -1))[0]
        if made.graph.node[-1].op_type == "Softmax":
            scores = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_a_file_of_two_inputs_has_a_boundary(tmp_path):
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")]
    made = model(["N", 2], nodes, w=normal(2, 8), b=normal(8), v=normal(8, 2) - 0.1)
    assert len(decision_boundary(read(made, tmp_path), ((-3, 3), (-3, 3))).segments)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (model([1, 3], [node("Tanh", "x", "y")]), "y is a Tanh, which is not known as piecewise"),
        (model([1, 3], [node("Mul", "x x", "y")]), "multiplies or divides by a value"),
        (model([2, 3], [node("Relu", "x", "y")]), r"input of shape \[2, 3\].*must else be 1"),
        (model([1, "n"], [node("Relu", "x", "y")]), r"input of shape \[1, 0\] \(0 is unknown\)"),
        (
            model([1, 1, 5], [node("MaxPool", "x", "y", kernel_shape=[2], pads=[1, 0])]),
            r"pads \[1\] before and \[0\] after",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(made, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        read(made, tmp_path)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read as an ONNX file"):
        from_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ConfigError, match="cannot be read as an ONNX file"):
        from_onnx(tmp_path / "text.onnx")


def test_without_the_package_the_sentence_names_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install 'localbook\[onnx\]'"):
        from_onnx(tmp_path / "network.onnx")


def test_what_the_reference_cannot_run_leads_to_from_torch(tmp_path):
    grouped = model(
        [1, 4, 3, 3],
        [
            node("ConvTranspose", "x w", "a", group=2),
            node("Relu", "a", "b"),
            node("Flatten", "b", "c"),
            node("MatMul", "c v", "y"),
        ],
        w=normal(4, 2, 2, 2),
        v=normal(64, 2),
    )
    with pytest.raises(ConfigError, match="to from_torch"):
        read(grouped, tmp_path)
