import pytest
import torch
from torch import nn

from localbook.errors import ConfigError
from localbook.local import ConvNet, IsolatedNetwork, accuracy, early_exit


def batches(seed=0, sizes=(20, 11)):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(n, 3, 8, 8, generator=generator), torch.arange(n) % 4) for n in sizes]


def net():
    network = ConvNet((4, 6, 5), (1, 2, 1)).build(3, 4, seed=0)
    with torch.no_grad():
        for head in network.heads:
            head[-1].weight *= 4  # so that it is surer of some images than of others
    return network


def one_at_a_time(net, data, threshold):
    """Run each image until a head is sure; count multiply-adds by hand."""
    net.eval()
    spent, right, exits = 0, 0, [0, 0, 0]
    modules = [8 * 8 * 9 * 3 * 4, 4 * 4 * 9 * 4 * 6, 4 * 4 * 9 * 6 * 5]
    heads = [4 * 4, 6 * 4, 5 * 4]
    count = 0
    for xs, ys in data:
        for x, y in zip(xs, ys, strict=True):
            x = x[None]
            count += 1
            for number, (module, head) in enumerate(net.pairs()):
                x = module(x)
                scores = head(x)
                spent += modules[number] + heads[number]
                if scores.softmax(1).max() >= threshold:
                    break
            right += int(scores.argmax() == y)
            exits[number] += 1
    return right / count, spent / count / (sum(modules) + heads[-1]), [e / count for e in exits]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.35, 0.4, 0.5, 2.0])
def test_early_exit_against_one_image_at_a_time(threshold):
    network = net()
    found = early_exit(network, batches(), [threshold])
    right, compute, exits = one_at_a_time(network, batches(), threshold)
    assert found.accuracy.item() == pytest.approx(right)
    assert found.compute.item() == pytest.approx(compute)
    assert found.exits[0].tolist() == pytest.approx(exits)


def test_thresholds_between_the_first_and_the_last_head():
    network = net()
    found = early_exit(network, batches(), [0.0, 0.4, 2.0])
    by_head = accuracy(network, batches())
    assert found.accuracy[0] == by_head[0]
    assert found.accuracy[2] == by_head[-1]
    assert 0 < found.exits[1, 0] < 1  # the middle one does tell samples apart
    assert found.compute[2] > 1  # every head was asked
    assert (found.compute.diff() > 0).all()


def test_measuring_leaves_the_network_as_it_was():
    network = net().train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    early_exit(network, batches(), [0.5])
    assert all(m.training for m in network.modules())
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_bad_input_is_refused():
    for data, thresholds in (([], [0.5]), (batches(), [])):
        with pytest.raises(ConfigError, match="one batch and one threshold"):
            early_exit(net(), data, thresholds)


def test_one_module_has_nowhere_else_to_leave():
    layer = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    found = early_exit(IsolatedNetwork([layer], [nn.Identity()]), batches(), [0.9])
    assert found.exits.tolist() == [[1.0]]
    assert found.compute.item() == 1
