import torch

from localbook.benchmarks import Meter
from localbook.benchmarks.training.second_derivatives import OPERATIONS, measure


def small(shape):
    """Return a shape of the same kind; weights still fit to what they meet."""
    return tuple(size if size <= 3 else max(size // 16, 4) for size in shape)


def test_every_operation_stands_beside_pytorch_s():
    operations = {
        key: type(one)(one.own, one.builtin, tuple(small(shape) for shape in one.inputs))
        for key, one in OPERATIONS.items()
    }
    rows = list(measure(Meter(samples=1), operations))
    assert [(row.what, row.size) for row in rows] == list(OPERATIONS)
    assert all(row.value > 0 and row.baseline_value > 0 for row in rows)


def test_both_compute_the_same():
    for key, one in OPERATIONS.items():
        torch.manual_seed(0)
        inputs = [torch.randn(small(shape)) for shape in one.inputs]
        torch.testing.assert_close(one.own(*inputs), one.builtin(*inputs), msg=str(key))
