"""Micro-batches in a pipeline of processes give the gradient of the whole batch in one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import grad

from localbook.errors import ConfigError
from localbook.local import ConvNet, IsolatedNetwork, parallel
from tests.local.parallel_job import Deaf


def network(modules: int = 2) -> IsolatedNetwork:
    return ConvNet((4,) * modules, (1,) * modules, norm="group").build(3, 4, 0)


def test_a_pipeline_has_the_gradient_of_the_whole_batch_and_its_bubble() -> None:
    torch.manual_seed(0)
    net, x, y = network(), torch.randn(12, 3, 6, 6), torch.arange(12) % 4
    done = parallel.pipelined(net, x, y, parts=4, steps=2, rest=0.05)
    weights = [*net.local_modules.parameters(), *net.heads[-1].parameters()]
    scores = net.heads[-1](net.local_modules[1](net.local_modules[0](x)))
    for found, wanted in zip(
        done.gradients, grad(F.cross_entropy(scores, y), weights), strict=True
    ):
        assert (found - wanted).abs().max() < 1e-6
    assert max(g.abs().max() for g in done.gradients) > 1e-3
    assert [own.used for own in done.passes] == [2 * [0, 1, 2, 3, 3, 2, 1, 0]] * 2
    # 2 (M + K - 1) turns, of which K - 1 in M + K - 1 are idle; what is lost besides is more
    assert done.seconds().shape == done.idle().shape == (2,)
    assert done.seconds().min() >= 10 * 0.05
    assert done.idle().min() > 0.15


def test_a_module_that_ignores_its_input_keeps_nobody_waiting() -> None:
    heads = [nn.Linear(3, 2), nn.Linear(3, 2)]
    net = IsolatedNetwork([nn.Linear(2, 3), Deaf()], heads)
    done = parallel.pipelined(net, torch.ones(4, 2), torch.tensor([0, 1, 0, 0]), parts=2)
    weight, bias, *after = (float(g.abs().max()) for g in done.gradients)
    assert weight == bias == 0 < min(after)


def test_what_idles_is_counted_by_hand() -> None:
    first = parallel.Updates(begin=[0.0, 1.0, 4.0, 5.0], end=[1.0, 2.0, 5.0, 6.0])
    second = parallel.Updates(begin=[1.0, 2.0, 3.0, 4.0], end=[2.0, 3.0, 4.0, 5.0])
    done = parallel.Pipelined([], [first, second], parts=2)
    assert done.seconds().tolist() == [6.0]
    assert done.idle() == pytest.approx(np.array([1 / 3]))  # (K - 1) / (M + K - 1)


@pytest.mark.parametrize(("parts", "labels"), [(5, 12), (0, 12), (4, 11)])
def test_a_batch_that_cannot_be_cut_evenly_is_refused(parts: int, labels: int) -> None:
    with pytest.raises(ConfigError, match=f"12 samples with {labels} labels .* {parts} equal"):
        parallel.pipelined(network(), torch.zeros(12, 3, 6, 6), torch.zeros(labels), parts)


def test_one_module_is_no_pipeline() -> None:
    with pytest.raises(ConfigError, match="one module has nothing to run in parallel"):
        parallel.pipelined(network(1), torch.zeros(4, 3, 6, 6), torch.zeros(4), 2)
