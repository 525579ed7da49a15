import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from localbook.errors import ConfigError
from localbook.tropical import ReLUNetwork, decision_boundary, from_torch


def settled(*layers, shape, seed=0):
    """Return layers as a double model in evaluation mode with non-trivial running statistics."""
    torch.manual_seed(seed)
    model = nn.Sequential(*layers).double()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
        for _ in range(3):
            model(torch.randn(16, *shape, dtype=torch.float64) + 1)
    return model.eval()


def assert_same_function(model, network, shape):
    x = torch.randn(20, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(x).flatten(1).numpy()
    np.testing.assert_allclose(network(x.flatten(1).numpy()), expected, atol=1e-12)


def test_a_multilayer_perceptron_keeps_its_matrices():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    network = from_torch(model)
    assert [w.shape for w in network.weights] == [(5, 3), (4, 5), (2, 4)]
    for k, layer in enumerate((model[0], model[2], model[4])):
        assert (network.weights[k] == layer.weight.detach().double().numpy()).all()
        assert (network.biases[k] == layer.bias.detach().double().numpy()).all()
    assert network.inputs == 3
    assert network.classes == 2


def test_a_lazy_layer_is_made_by_its_input():
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 2))
    assert from_torch(model, (4,)).inputs == 4


def test_one_linear_layer_is_a_network():
    layer = nn.Linear(3, 2, bias=False)
    assert len(from_torch(layer).weights) == 1
    assert_same_function(layer.double(), from_torch(layer), (3,))


def test_nested_layers_and_a_reused_relu_are_followed():
    relu = nn.ReLU(inplace=True)
    inner = nn.Sequential(nn.Identity(), nn.Linear(6, 5), relu, nn.Dropout(0.5), nn.Linear(5, 5))
    model = settled(nn.Flatten(), inner, relu, nn.Linear(5, 3), shape=(2, 3))
    network = from_torch(model)
    assert [w.shape for w in network.weights] == [(5, 6), (5, 5), (3, 5)]
    assert_same_function(model, network, (2, 3))


def test_consecutive_affine_layers_become_one_matrix():
    model = settled(
        nn.Linear(4, 9), nn.BatchNorm1d(9), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 2), shape=(4,)
    )
    network = from_torch(model)
    assert [w.shape for w in network.weights] == [(6, 4), (2, 6)]
    assert_same_function(model, network, (4,))


def test_convolutions_pooling_and_batch_norm_are_affine():
    model = settled(
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False),
        nn.BatchNorm2d(6, affine=False),
        nn.Dropout2d(0.3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
        shape=(2, 10, 8),
    )
    network = from_torch(model, (2, 10, 8))
    assert [w.shape for w in network.weights] == [(320, 160), (12, 320), (3, 12)]
    assert_same_function(model, network, (2, 10, 8))


def test_relus_at_the_ends_and_in_a_row_get_identities_between():
    model = nn.Sequential(nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.ReLU()).double()
    network = from_torch(model)
    assert len(network.weights) == 4
    assert_same_function(model, network, (3,))


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.ReLU(), nn.Flatten()).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    from_torch(model, (1, 5))
    assert all((before[key] == value).all() for key, value in model.state_dict().items())
    assert model[0].weight.dtype == torch.float32


class Masked(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, self.weight * (self.weight > 0), self.bias)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


class Squared(nn.Linear):
    def forward(self, x):
        return super().forward(x) ** 2


class Leaky(nn.ReLU):
    def forward(self, x):
        return nn.functional.leaky_relu(x)


class Skipping(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + x


class MixingRows(nn.Linear):
    def forward(self, x):
        return super().forward(x) - x.mean(0)


class Writing(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        y[:, 0].add_(1)
        return y


class Deciding(nn.Linear):
    def forward(self, x):
        return x if x.sum() > 0 else super().forward(x)


class Leaving(nn.Linear):
    def forward(self, x):
        return torch.from_numpy(np.maximum(super().forward(x).numpy(), 0))


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def pruned(net):
    prune.l1_unstructured(net[0], "weight", amount=0.5)
    prune.random_structured(net[2], "weight", amount=0.3, dim=1)
    prune.l1_unstructured(net[0], "bias", amount=2)
    net(torch.zeros(1, 3))  # the masked weight is a tensor that torch does not copy


def with_hook(net):
    net[0].register_forward_hook(lambda module, inputs, out: 2 * out + 1)
    net[2].register_forward_pre_hook(lambda module, inputs: (inputs[0] - 1,))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "change",
    [
        pruned,
        with_hook,
        lambda net: nn.utils.weight_norm(net[0]),
        lambda net: nn.utils.spectral_norm(net[2]),
        lambda net: nn.utils.parametrizations.weight_norm(net[0]),
        lambda net: nn.utils.parametrizations.spectral_norm(net[2]),
        lambda net: nn.utils.parametrizations.orthogonal(net[2]),
        lambda net: nn.utils.parametrize.register_parametrization(net[2], "bias", Doubled()),
        lambda net: net.insert(2, Masked(8, 8)),
        lambda net: net.insert(1, Leaky()),
        lambda net: net.append(Skipping(*plain())),
        lambda net: net.register_forward_hook(lambda module, inputs, out: out.abs() + 1),
    ],
    ids=["pruned", "hooks", "old weight norm", "old spectral norm", "weight norm", "spectral norm",
         "orthogonal", "parametrised bias", "subclass", "activation", "skip", "hook of the whole"],
)  # fmt: skip
def test_a_network_is_read_by_what_it_computes(change):
    model = plain()
    change(model)
    model.eval()
    network = from_torch(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(50, 3)
    np.testing.assert_allclose(model(x).detach(), network(x), atol=1e-5)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Tanh(), r"layer 1\.1 \(Tanh\) computes tanh, not known as piecewise linear: give"),
        (nn.GELU(), r"layer 1\.1 \(GELU\) computes gelu"),
        (nn.Hardswish(), "computes hardswish"),
        (nn.Hardsigmoid(), "computes hardsigmoid"),
        (Squared(3, 3), "computes pow"),
        (nn.Bilinear(3, 3, 3), r"layer 1\.1 \(Bilinear\)"),
        (nn.Softmax(dim=1), r"layer 2 \(Linear\) goes on after a softmax"),
        (MixingRows(3, 3), "something else on random inputs.*every row of a batch by itself"),
        (Writing(3, 3), "something else on random inputs.*writing into parts"),
        (Deciding(3, 3), r"\(Deciding\) compares values by gt, as for an if"),
        (Leaving(3, 3), r"layer 1\.1 \(Leaving\) does something that is not read.*tensors only"),
        (nn.Linear(4, 3), r"cannot take an input of shape \(2,\): layer 1\.1 \(Linear\) fails"),
    ],
)
def test_what_is_not_piecewise_linear_is_refused_by_name(layer, words):
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Identity(), layer), nn.Linear(3, 2))
    with pytest.raises(ConfigError, match=words):
        from_torch(model)


def test_attention_is_refused():
    with pytest.raises(ConfigError, match=r"MultiheadAttention\) computes .*attention"):
        from_torch(nn.TransformerEncoderLayer(4, 2, dropout=0).eval(), (3, 4))


def test_a_model_that_returns_something_else_is_refused():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(ConfigError, match=r"\(Two\) returns a tuple.*one tensor of scores"):
        from_torch(Two(2, 2))


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout()])
def test_training_mode_is_refused(layer):
    model = nn.Sequential(nn.Linear(2, 3), layer)
    with pytest.raises(ConfigError, match=r"layer 1 is a .* in training mode: call model\.eval"):
        from_torch(model)


def test_batch_norm_without_running_statistics_is_refused():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(ConfigError, match="without running statistics"):
        from_torch(model)


def test_a_convolution_needs_the_input_shape():
    model = nn.Sequential(OrderedDict(first=nn.Conv2d(1, 2, 3), last=nn.ReLU()))
    with pytest.raises(ConfigError, match=r"layer first is the first.*from_torch\(model, input_sh"):
        decision_boundary(model, ((-1, 1), (-1, 1)))
    with pytest.raises(ConfigError, match=r"shape \(3, 5, 5\): layer first \(Conv2d\) fails"):
        from_torch(model, (3, 5, 5))


@pytest.mark.parametrize("shape", [0, (), (1, -4, 4), (1, 0, 4), (1, 2.5), "1x4x4"])
def test_what_is_no_shape_is_refused(shape):
    with pytest.raises(ConfigError, match=r"must be sizes from 1 up.*without the batch"):
        from_torch(nn.Conv2d(1, 2, 3), shape)


@pytest.mark.parametrize("what", [nn.Linear(2, 2).state_dict(), "net.pt", None, torch.relu])
def test_what_is_no_model_is_refused(what):
    with pytest.raises(ConfigError, match=r"needs an nn\.Module, not .*: build the model"):
        decision_boundary(what, ((-1, 1), (-1, 1)))


@pytest.mark.parametrize("model", [nn.Sequential(), nn.ReLU(), nn.Sequential(nn.Flatten())])
def test_a_model_without_weights_is_refused(model):
    with pytest.raises(ConfigError, match="no layer with weights"):
        from_torch(model)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("2.weight", r"layer 2 \(Linear\) has a weight that is not finite: check the training"),
        ("1.running_var", r"layer 1 \(BatchNorm1d\) has a running_var that is not finite"),
    ],
)
def test_numbers_that_are_none_are_refused_where_they_stand(part, words):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()
    model.state_dict()[part].flatten()[0] = float("nan")
    with pytest.raises(ConfigError, match=words):
        from_torch(model)
    with pytest.raises(ConfigError, match="affine layer 1 has weights that are not finite"):
        ReLUNetwork(([[np.nan, 0]],), ([0.0],))


def test_a_network_is_shown_by_its_widths():
    assert repr(from_torch(plain())) == "ReLUNetwork 3-8-3"


@pytest.mark.parametrize(
    ("weights", "biases", "words"),
    [
        ((), (), "0 weight matrices"),
        ((np.eye(2),), (np.zeros(2), np.zeros(2)), "exactly one bias"),
        ((np.eye(2), np.eye(3)), (np.zeros(2), np.zeros(3)), "affine layer 2.*takes 2 inputs"),
        ((np.eye(2),), (np.zeros(3),), "affine layer 1"),
        ((np.zeros(2),), (np.zeros(2),), "affine layer 1"),
        ((np.zeros((0, 2)),), (np.zeros(0),), "affine layer 1"),
    ],
)
def test_shapes_that_do_not_chain_are_refused(weights, biases, words):
    with pytest.raises(ConfigError, match=words):
        ReLUNetwork(weights, biases)


def test_the_network_keeps_its_own_copy():
    weight = np.eye(2, dtype=np.float32)
    network = ReLUNetwork((weight,), ([0, 1],))
    weight[:] = 7
    assert network.weights[0].dtype == network.biases[0].dtype == np.float64
    assert (network([[1, 2]]) == [[1, 3]]).all()


def test_patterns_say_which_neurons_are_on():
    network = ReLUNetwork((np.eye(2), [[1, -1]], [[1]]), (np.zeros(2), [0.0], [0.0]))
    assert network.pattern([[1, 2], [2, 1]]).tolist() == [[True, True, False], [True, True, True]]


def test_torch_is_only_imported_for_torch_models():
    code = (
        "import sys, numpy as np\n"
        "from localbook.tropical import ReLUNetwork, decision_boundary, linear_regions\n"
        "n = ReLUNetwork((np.eye(2), np.eye(2)), (np.zeros(2), np.zeros(2)))\n"
        "decision_boundary(n, ((-1, 1), (-1, 1))), linear_regions(n, ((-1, 1), (-1, 1)))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
