import torch
import torch.nn.functional as F

from localbook.benchmarks import Meter
from localbook.benchmarks.training.profile import KINDS, by_kind, measure
from tests.benchmarks.test_training import tiny

PRODUCTS, NORMALISATION, REST = KINDS


def test_every_kind_stands_beside_bps():
    meter = Meter()
    rows = list(measure(meter, {"tiny": tiny}))
    assert meter.reference  # how quiet it was is known
    assert [row.what.split(", SGR")[0] for row in rows] == list(KINDS)
    assert all(row.value > row.baseline_value > 0 for row in rows)  # SGR does more of everything


def test_operations_and_their_backward_nodes_go_to_their_kind():
    x = torch.randn(256, 256, requires_grad=True)

    def products():
        (x @ x @ x @ x).sum().backward()

    def norms():
        y = F.layer_norm(x, (256,))
        for _ in range(20):
            y = F.layer_norm(y, (256,))
        y.sum().backward()

    def pointwise():
        y = x
        for _ in range(20):
            y = y.sin()
        y.sum().backward()

    for routine, kind in ((products, PRODUCTS), (norms, NORMALISATION), (pointwise, REST)):
        spent = by_kind(routine, Meter())
        assert max(spent, key=spent.get) == kind
        assert spent[kind] > 0.6 * sum(spent.values())
