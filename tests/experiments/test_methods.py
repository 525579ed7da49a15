import pytest
import torch

from localbook.errors import ConfigError
from localbook.experiments.comparisons import LOSSES, Method
from localbook.local import BACKBONES, BP, SGR, Greedy, PlainLocal, isolated

EXAMPLE = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bp", Method("bp", 4)),
        ("greedy-k3", Method("greedy", 3)),
        ("local-k2", Method("local", 2)),
        ("sgr-infopro-k16", Method("infopro", 16, reconciled=True)),
    ],
)
def test_names(name, expected):
    assert Method.named(name) == expected


@pytest.mark.parametrize("name", ["", "sgd", "local", "local-k", "sgr-bp", "other-k4", "local-k4 "])
def test_unknown_names(name):
    with pytest.raises(ConfigError, match="unknown method"):
        Method.named(name)


def test_greedy_cannot_be_reconciled():
    with pytest.raises(ConfigError, match="choose sgr-local"):
        Method.named("sgr-greedy-k4")


def test_rules():
    kinds = {"bp": BP, "greedy-k2": Greedy, "dgl-k2": PlainLocal, "sgr-predsim-k2": SGR}
    for name, kind in kinds.items():
        assert isinstance(Method.named(name).make(0.5), kind)
    assert Method.named("sgr-predsim-k2").make(0.5) == SGR(0.5, "squared", loss=LOSSES["predsim"])


@pytest.mark.parametrize(
    "name", ["bp", "greedy-k2", *(f"{s}{loss}-k2" for loss in LOSSES for s in ("", "sgr-"))]
)
def test_every_rule_fills_every_gradient_it_should(name):
    method = Method.named(name)
    net = isolated("resnet8", method.k, EXAMPLE, LABELS, seed=0)
    net = method.equipped(net, EXAMPLE, seed=0)
    losses = method.make(0.1).gradients(net, EXAMPLE, LABELS)
    assert losses.shape == (method.k,)
    assert torch.isfinite(losses[0])
    missing = [n for n, p in net.named_parameters() if p.grad is None]
    assert all(".1." in n for n in missing) if name == "greedy-k2" else not missing


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_can_be_cut_and_trained_with_sgr(name):
    net = isolated(name, 4, EXAMPLE, LABELS, seed=1)
    losses = SGR(0.1).gradients(net, EXAMPLE, LABELS)
    assert losses.shape == (4,)
    assert torch.isfinite(losses).all()
    assert net(EXAMPLE).shape == (4, 3)


def test_weights_come_from_the_seed_alone():
    def weights(seed):
        net = isolated("small-vit", 2, EXAMPLE, LABELS, seed=seed)
        return torch.cat([p.detach().flatten() for p in net.parameters()])

    state = torch.get_rng_state()
    first = weights(3)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))
    assert torch.equal(state, torch.get_rng_state())


def test_unknown_backbone():
    with pytest.raises(ConfigError, match="no backbone 'vgg'; choose from: resnet8"):
        isolated("vgg", 2, EXAMPLE, LABELS, seed=0)


def test_too_many_modules():
    with pytest.raises(ConfigError, match="99"):
        isolated("resnet8", 99, EXAMPLE, LABELS, seed=0)
