import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from localbook.errors import ConfigError
from localbook.local import (
    ConvNet,
    IsolatedNetwork,
    activations,
    add_heads,
    linear_probe,
    small_vit,
    split,
)


def batches(seed, sizes=(40, 25, 7), classes=4, side=8):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for n in sizes:
        y = torch.randint(0, classes, (n,), generator=generator)
        x = torch.randn(n, 3, side, side, generator=generator) + 0.3 * y[:, None, None, None]
        found.append((x, y))
    return found


def reference(net, train, held_out, ridge):
    """Fit scikit-learn's ridge regression on all of the data at once."""
    net.eval()

    def features(data):
        depths, labels = [], torch.cat([y for _, y in data]).numpy()
        x = torch.cat([x for x, _ in data])
        depths.append(x)
        for module in net.local_modules:
            x = module(x)
            depths.append(x)
        pooled = []
        for x in depths:
            x = x.detach().double().numpy()
            x = x.mean((2, 3)) if x.ndim == 4 else x.mean(1) if x.ndim == 3 else x
            pooled.append(x.reshape(len(x), -1))
        return pooled, labels

    (train_x, train_y), (test_x, test_y) = features(train), features(held_out)
    accuracy = []
    for a, b in zip(train_x, test_x, strict=True):
        model = Ridge(alpha=ridge * a.var(0).mean() * len(a))
        model.fit(a, np.eye(train_y.max() + 1)[train_y])
        accuracy.append((model.predict(b).argmax(1) == test_y).mean())
    return accuracy


def vit():
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    model = small_vit(4, image=8, width=12, depth=2, heads=2, seed=0)
    return add_heads(split(model, 3, x).modules, "linear", x, torch.tensor([3]), seed=0)


NETS = {"convnet": lambda: ConvNet((4, 6), (1, 2)).build(3, 4, seed=0), "vit": vit}


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
@pytest.mark.parametrize("name", NETS)
def test_probe_against_scikit_learn(name, ridge):
    net = NETS[name]()
    found = linear_probe(net, batches(1), batches(2), ridge=ridge)
    assert found.tolist() == pytest.approx(reference(net, batches(1), batches(2), ridge), abs=1e-6)
    assert found.max() > 0.3  # better than a guess


def test_batches_do_not_matter():
    net = NETS["convnet"]()
    (x, y), *_ = batches(1, sizes=(60,))
    order = y.argsort()  # so that the first batch lacks classes
    x, y = x[order], y[order]
    parts = [(x[:13], y[:13]), (x[13:], y[13:])]
    whole = linear_probe(net, [(x, y)], batches(2))
    assert torch.equal(linear_probe(net, parts, batches(2)), whole)


def test_dependent_and_dead_features_do_no_harm():
    class Twice(nn.Module):
        def forward(self, x):
            return torch.cat([x, x, torch.zeros_like(x)], 1)

    class Dead(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)

    net = IsolatedNetwork([Twice(), Dead()], [nn.Identity()] * 2)
    found = linear_probe(net, batches(1), batches(2))
    assert found[0].item() == pytest.approx(found[1].item(), abs=0.05)
    answer = torch.cat([y for _, y in batches(1)]).bincount().argmax()  # the commonest label
    assert found[2] == (torch.cat([y for _, y in batches(2)]) == answer).float().mean()


def test_probing_leaves_the_network_as_it_was():
    net = NETS["convnet"]().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    linear_probe(net, batches(1), batches(2))
    assert all(m.training for m in net.modules())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_activations_start_with_the_input():
    net, x = NETS["convnet"](), batches(0)[0][0]
    found = activations(net, x)
    assert found[0] is x
    assert [a.shape[1] for a in found] == [3, 4, 6]
    assert torch.equal(net.eval().heads[-1](found[-1]), net(x))


def test_bad_input_is_refused():
    net = NETS["convnet"]()
    with pytest.raises(ConfigError, match="larger than zero"):
        linear_probe(net, batches(1), batches(2), ridge=0.0)
    with pytest.raises(ConfigError, match="batch of training images"):
        linear_probe(net, [], batches(2))
    with pytest.raises(ConfigError, match="batch of held-out images"):
        linear_probe(net, batches(1), [])
