"""Networks from what users hold: tensors with a gradient, of any type."""

import numpy as np
import pytest
import torch

from localbook import tropical


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_parameters_of_a_module_are_taken_as_they_are(kind):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    module = module.to(kind)
    layers = module[0], module[2]
    net = tropical.ReLUNetwork(*zip(*((layer.weight, layer.bias) for layer in layers), strict=True))
    points = torch.randn(20, 2).to(kind).requires_grad_()
    double = module.double()(points.double()).detach().numpy()
    np.testing.assert_allclose(net(points), double, rtol=1e-12, atol=1e-12)
    weight = layers[0].weight
    made, same = (tropical.Zonotope(w, np.zeros(2)) for w in (weight, weight.detach().numpy()))
    np.testing.assert_array_equal(made.vertices(), same.vertices())
    weight.data.zero_()  # a network is a copy: training goes on without it
    np.testing.assert_allclose(net(points), double, rtol=1e-12, atol=1e-12)
