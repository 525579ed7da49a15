"""Terms and circuits: broadcasting, windows, copies, gradients from what is kept, bad input."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.circuits import COPY, SAME, SWAP, Box, Circuit, broadcast
from localbook.errors import ConfigError

SQUARE = Box("linear", "m, m' m -> m'", "w")
ADD = Box("add", "m, m -> m")
TWICE = Box("linear", "a b, b' b -> a b'", "w")


def drawn(circuit, seed=0):
    """Return random weights, inputs and gradients by outputs."""
    torch.manual_seed(seed)
    shape = {
        w: [circuit.sizes[a] for a in w.axes] for w in (*circuit.levels[0], *circuit.levels[-1])
    }
    weights = {n: torch.randn([circuit.sizes[a] for a in w.axes], dtype=torch.float64)
               for n, w in circuit.weights.items()}  # fmt: skip
    x, d = (
        [torch.randn(shape[w], dtype=torch.float64) for w in circuit.levels[k]] for k in (0, -1)
    )
    return weights, x, d


def agrees_with_autograd(circuit, seed=0):
    weights, x, deltas = drawn(circuit, seed)
    by_weight, by_input = circuit.gradient(weights, x, deltas)
    leaves = [t.requires_grad_() for t in (*weights.values(), *x)]
    expected = torch.autograd.grad(circuit(weights, *x), leaves, deltas)
    for ours, theirs in zip((*by_weight.values(), *by_input), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


BOXES = {
    "relu": (Box("relu"), "a b"),
    "tanh": (Box("tanh"), "a b"),
    "gelu": (Box("gelu"), "a b"),
    "scale": (Box("scale", over="b"), "a b"),
    "softmax": (Box("softmax", "a b c -> a b c", over="b"), "a b c"),
    "layer norm": (Box("norm", "a b c, c, c -> a b c", "w b", over="c"), "a b c"),
    "layer norm of two": (Box("norm", "a b c, b c, b c -> a b c", "w b", over="b c"), "a b c"),
    "batch norm": (Box("norm", "a b c, b, b -> a b c", "w b", over="a c"), "a b c"),
    "bias": (Box("add", "a b c, b -> a b c", "b"), "a b c"),
    "three": (Box("linear", "a b, b c, a c -> a", "v w"), "a b"),
    "transpose": (Box("linear", "a b c -> c a b"), "a b c"),
    "concat": (COPY >> (SAME @ Box("relu")) >> Box("concat", "a b, a c -> a d"), "a b"),
    "max": (Box("max", "a i+u j+u -> a i j", stride=2), "a c d"),
    "shortcut": (Box("shortcut", "a i+ j+ -> e i j", stride=2), "a c d"),
    "up": (Box("linear", "a i j, a e u u' -> e i+u j+u'", "w", stride=2), "a c d"),
    "tied": (TWICE >> TWICE, "a b"),
    "swap": (SWAP >> Box("linear", "b c, a b -> a c"), "a b, b c"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOXES)
def test_every_box_has_its_gradient_alone_and_broadcast(name):
    term, inputs = BOXES[name]
    sizes = {"a": 2, "b": 3, "c": 6, "d": 4, "e": 4, "n": 5, "u": 2}
    agrees_with_autograd(Circuit.of(term, inputs, sizes))
    if name not in ("batch norm", "shortcut"):
        many = ", ".join(f"n {part}" for part in inputs.split(", "))
        agrees_with_autograd(Circuit.of(broadcast(term, "n"), many, sizes))


@pytest.mark.parametrize("name", sorted(BOXES.keys() - {"batch norm", "max", "shortcut", "up"}))
def test_an_index_before_is_an_index_after(name):
    term, inputs = BOXES[name]
    sizes = {"a": 2, "b": 3, "c": 6, "n": 5}
    one = Circuit.of(term, inputs, sizes)
    many = Circuit.of(
        broadcast(term, "n"), ", ".join(f"n {part}" for part in inputs.split(", ")), sizes
    )
    weights, x, _ = drawn(many)
    (found,) = many(weights, *x)
    for n in range(5):
        assert torch.allclose(found[n], one(weights, *(t[n] for t in x))[0])
    by_torch = torch.vmap(lambda *x: one(weights, *x)[0])(*x)
    assert torch.allclose(found, by_torch)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 7), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2)
)
def test_windows_are_the_sum_over_indices(length, window, stride, padding, dilation):
    spec = "c i+r, d c r -> d i"
    term = Box("linear", spec, "w", stride=stride, padding=padding, dilation=dilation)
    sizes = {"c": 2, "d": 3, "i": length, "r": window}
    places = (length + 2 * padding - dilation * (window - 1) - 1) // stride + 1
    if length + 2 * padding <= dilation * (window - 1):
        with pytest.raises(ConfigError, match="no window fits"):
            Circuit.of(term, "c i", sizes)
        return
    circuit = Circuit.of(term, "c i", sizes)
    weights, (x,), _ = drawn(circuit)
    expected = torch.zeros(3, places, dtype=torch.float64)
    for d, c, i, r in product(range(3), range(2), range(places), range(window)):
        at = i * stride + r * dilation - padding
        if 0 <= at < length:
            expected[d, i] += weights["w"][d, c, r] * x[c, at]
    assert torch.allclose(circuit(weights, x)[0], expected)
    assert circuit.multiply_adds() == 3 * 2 * places * window
    agrees_with_autograd(circuit)


def test_copies_swaps_and_parts_side_by_side_are_what_they_say():
    term = (SAME @ COPY) >> (SWAP @ SAME) >> (SAME @ ADD) >> SWAP
    circuit = Circuit.of(term, "m, m", {"m": 3})
    x, y = torch.arange(3.0), 10 * torch.ones(3)
    first, second = circuit({}, x, y)
    assert torch.equal(first, x + y)
    assert torch.equal(second, y)
    assert [len(level) for level in circuit.levels] == [2, 3, 3, 2, 2]


def test_first_layer_needs_no_gradient_by_the_data():
    circuit = Circuit.of(
        SQUARE >> Box("relu") >> Box("linear", "m, o m -> o", "v"), "m", {"m": 4, "o": 2}
    )
    assert circuit.multiply_adds() == 16 + 8
    assert circuit.multiply_adds(backward=True) == 16 + 2 * 8
    assert circuit.multiply_adds(backward=True, inputs=True) == 2 * (16 + 8)
    assert len(circuit.kept()) == 2


def test_a_wire_is_kept_once_and_an_addition_keeps_nothing():
    circuit = Circuit.of(COPY >> (SQUARE @ SAME) >> ADD, "m", {"m": 4})
    assert circuit.kept_bytes() == 4 * 4
    assert Circuit.of(COPY >> ADD, "m", {"m": 4}).kept_bytes(inputs=True) == 0


def test_a_place_is_one_wire_wide_and_has_no_array_learned_on_both_sides():
    other = Box("linear", "m, m' m -> m'", "v")
    block = COPY >> (SQUARE @ SAME) >> ADD
    assert Circuit.of(block >> other, "m", {"m": 4}).places() == [3]
    assert Circuit.of(block >> SQUARE, "m", {"m": 4}).places() == []


@pytest.mark.parametrize(
    ("term", "inputs", "says"),
    [
        (ADD, "m", "1 wires enter where 2 should"),
        (SQUARE, "m n", "meets a wire with the axes"),
        (ADD, "m, n", "the letter m meets the axes m and n"),
        (Box("linear", "m, q m -> q", "w"), "m", "how long is the axis 'q'"),
        (SQUARE, "z", "how long is the axis 'z'"),
        (SQUARE >> Box("linear", "m, o m -> o", "w"), "m", "'w' has the axes"),
        (broadcast(SQUARE, "n"), "m", "meets a wire"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(term, inputs, says):
    with pytest.raises(ConfigError, match=says):
        Circuit.of(term, inputs, {"m": 4, "n": 4, "o": 2})


@pytest.mark.parametrize(
    ("kind", "spec", "over", "says"),
    [
        ("swish", "m -> m", "", "no box 'swish'"),
        ("norm", "m n o, n, n -> m n o", "m", "a norm over"),
        ("linear", "m n, n o -> o", "", "{'m'} are in one argument only"),
        ("linear", "c i+r, d c -> d i", "", "{'r'} are in one"),
    ],
)
def test_a_box_that_makes_no_sense_is_refused(kind, spec, over, says):
    with pytest.raises(ConfigError, match=says):
        Box(kind, spec, over=over)


def test_a_batch_norm_ties_its_batch_and_cannot_be_broadcast():
    with pytest.raises(ConfigError, match="a norm over"):
        broadcast(BOXES["batch norm"][0], "n")


def test_a_letter_that_is_there_and_arrays_of_another_size_are_refused():
    with pytest.raises(ConfigError, match="has a letter m"):
        broadcast(SQUARE, "m")
    circuit = Circuit.of(SQUARE, "m", {"m": 4})
    with pytest.raises(ConfigError, match=r"give it the shape \(4,\)"):
        circuit({"w": torch.zeros(4, 4)}, torch.zeros(3))
    for weights in ({}, {"w": torch.zeros(3, 3)}):
        with pytest.raises(ConfigError, match="give 'w', an array of 16 numbers"):
            circuit(weights, torch.zeros(4))
