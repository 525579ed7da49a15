import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import EncoderBlock

from localbook.errors import ConfigError
from localbook.local import (
    HEADS,
    ConvNet,
    Cost,
    PlainLocal,
    add_heads,
    check_labels,
    cifar_resnet,
    cost,
    make_head,
    small_vit,
    split,
    with_heads,
)

CLASSES = 10
FIXED = ("random", "orthogonal", "simplex_etf")


def features(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


IMAGE, TOKENS, FLAT = features(4, 16, 6, 6), features(4, 9, 16), features(4, 16)
FITTING = [
    (name, x)
    for name in HEADS
    for x in (IMAGE, TOKENS, FLAT)
    if not (name == "conv" and x.ndim != 4) and not (name == "class_token" and x.ndim != 3)
]


@pytest.mark.parametrize(("name", "x"), FITTING)
def test_every_head_gives_class_scores(name: str, x: Tensor) -> None:
    before = torch.get_rng_state()
    head, same, other = (make_head(name, x, CLASSES, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert head(x).shape == (4, CLASSES)
    assert torch.equal(head(x), same(x))
    assert not torch.equal(head(x), other(x))


@pytest.mark.parametrize("name", sorted(set(HEADS) - {"class_token"}))
def test_pooled_heads_do_not_mind_where_things_are(name: str) -> None:
    head = make_head(name, IMAGE, CLASSES, seed=0).eval()
    turned = IMAGE.transpose(2, 3) if name != "conv" else IMAGE
    assert torch.allclose(head(IMAGE), head(turned), atol=1e-5)


def test_swin_keeps_its_channels_last() -> None:
    first = make_head("linear", IMAGE, CLASSES, seed=0)
    last = make_head("linear", IMAGE.permute(0, 2, 3, 1), CLASSES, seed=0, channel_axis=-1)
    assert torch.allclose(first(IMAGE), last(IMAGE.permute(0, 2, 3, 1)), atol=1e-6)


def test_class_token_head_looks_at_the_first_token_alone() -> None:
    head = make_head("class_token", TOKENS, CLASSES, seed=0)
    x = TOKENS.clone()
    x[:, 1:] = 0
    assert torch.equal(head(x), head(TOKENS))


def test_attention_pool_by_hand() -> None:
    pool = make_head("attention", TOKENS, CLASSES, seed=0)[1]
    x = nn.functional.layer_norm(TOKENS, (16,))
    agreement = torch.einsum("ntc,c->nt", pool.key(x), pool.query.weight[0])
    expected = torch.einsum("nt,ntc->nc", agreement.softmax(1), x)
    assert torch.allclose(pool(TOKENS), expected, atol=1e-6)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_heads_have_nothing_to_train(name: str) -> None:
    head = make_head(name, FLAT, CLASSES, seed=0)
    assert not list(head.parameters())
    assert cost(head, FLAT) == Cost(0, 16 * CLASSES, 16 * CLASSES)
    assert "2.weight" in head.state_dict()  # a checkpoint keeps it


def test_orthogonal_rows() -> None:
    weight = make_head("orthogonal", FLAT, CLASSES, seed=0)[2].weight
    assert torch.allclose(weight @ weight.T, torch.eye(CLASSES), atol=1e-6)


@pytest.mark.parametrize("channels", [CLASSES - 1, CLASSES, 40])
def test_simplex_etf(channels: int) -> None:
    weight = make_head("simplex_etf", features(2, channels), CLASSES, seed=0)[2].weight
    expected = (CLASSES * torch.eye(CLASSES) - 1) / (CLASSES - 1)
    assert torch.allclose(weight @ weight.T, expected, atol=1e-5)
    assert torch.allclose(weight.sum(0), torch.zeros(channels), atol=1e-5)


def test_costs_by_hand() -> None:
    c, hw, k, t = 16, 36, CLASSES, 9
    conv = Cost(9 * c * c + 2 * c + (c + 1) * k, 2 * c + 1, 9 * c * c * hw + c * k)
    mlp = Cost((c + 1) * 2 * c + (2 * c + 1) * k, 0, 2 * c * c + 2 * c * k)
    attention = Cost(2 * c + (c + 1) * c + c + (c + 1) * k, 0, t * c * c + 2 * t * c + c * k)
    assert cost(make_head("linear", IMAGE, k, seed=0), IMAGE) == Cost((c + 1) * k, 0, c * k)
    assert cost(make_head("conv", IMAGE, k, seed=0), IMAGE) == conv
    assert cost(make_head("mlp", FLAT, k, seed=0), FLAT) == mlp
    assert cost(make_head("attention", TOKENS, k, seed=0), TOKENS) == attention


def encoder(heads: int) -> nn.Module:
    return nn.TransformerEncoderLayer(48, heads, 96, batch_first=True)


def vit_block(heads: int) -> nn.Module:
    return EncoderBlock(heads, 48, 96, 0.0, 0.0)


@pytest.mark.parametrize("block", [encoder, vit_block])
@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6])
def test_attention_costs_the_same_for_any_number_of_heads(block, heads: int) -> None:
    t, c, hidden = 17, 48, 96
    by_hand = t * (4 * c * c + 2 * c * hidden) + 2 * t * t * c
    assert cost(block(heads), features(1, t, c)).multiply_adds == by_hand == 341_088


@pytest.mark.parametrize(("layer", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_cost_by_hand(layer, gates: int) -> None:
    steps, c, h = 3, 5, 7
    one_layer = steps * gates * (c * h + h * h)
    second = 2 * steps * gates * (2 * h * h + h * h)
    x = features(1, steps, c)
    assert cost(layer(c, h, batch_first=True), x).multiply_adds == one_layer
    both = layer(c, h, 2, batch_first=True, bidirectional=True)
    assert cost(both, x).multiply_adds == 2 * one_layer + second


def test_products_with_a_vector_cost_too() -> None:
    class Reads(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[0] @ x[0, 0]

    assert cost(Reads(), TOKENS).multiply_adds == 9 * 16


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_heads_are_of_the_type_of_what_they_look_at(dtype: torch.dtype) -> None:
    model, x = nn.Sequential(nn.Linear(16, 20), nn.Linear(20, CLASSES)).to(dtype), FLAT.to(dtype)
    for name in set(HEADS) - {"conv", "class_token"}:
        net = add_heads(list(model), name, x, torch.tensor([9]), seed=0)
        assert [scores.dtype for scores in net.all_scores(x)] == [dtype] * 2


def test_cost_is_that_of_one_sample_and_changes_nothing() -> None:
    head = make_head("conv", IMAGE, CLASSES, seed=0)
    state = {key: value.clone() for key, value in head.state_dict().items()}
    assert cost(head, IMAGE) == cost(head, IMAGE[:1])
    assert head.training
    assert all(torch.equal(value, state[key]) for key, value in head.state_dict().items())


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lambda: cifar_resnet(20, seed=0), "conv"),
        (lambda: small_vit(width=24, depth=2, heads=2, seed=0), "class_token"),
    ],
)
def test_heads_for_a_split_model(model, name: str) -> None:
    net, x = model().eval(), features(3, 3, 32, 32)
    parts = split(net, 3, x)
    isolated = add_heads(parts.modules, name, x, torch.tensor([0, 9]), seed=0)
    assert [scores.shape for scores in isolated.all_scores(x)] == [(3, 10)] * 3
    isolated.eval()
    assert torch.equal(isolated(x), net(x))
    added = sum(p.numel() for p in isolated.parameters()) - sum(p.numel() for p in net.parameters())
    reported = 0
    for module, head in isolated.pairs():
        x = module(x)
        reported += cost(head, x).parameters
    assert added == reported


@pytest.mark.parametrize("labels", [[0, 10], [-1, 3]])
def test_labels_that_do_not_match_the_classes_are_refused(labels: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"labels run from .* but the heads have 10 classes"):
        check_labels(torch.tensor(labels), CLASSES)
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, CLASSES))
    with pytest.raises(ConfigError, match="the heads have 10 classes"):
        add_heads(list(model), "linear", FLAT, torch.tensor(labels), seed=0)


@pytest.mark.parametrize(
    ("name", "x", "classes", "words"),
    [
        ("lin", FLAT, 10, "no head 'lin'; choose from: linear, conv"),
        ("linear", FLAT, 1, "two or more classes"),
        ("linear", features(4), 10, r"not \(4,\)"),
        ("conv", TOKENS, 10, r"'conv' needs features of shape \(N, C, H, W\)"),
        ("class_token", IMAGE, 10, "'class_token' needs tokens"),
        ("orthogonal", FLAT, 17, "needs 17 or more channels, but the features have 16"),
        ("simplex_etf", FLAT, 18, "needs 17 or more channels"),
    ],
)
def test_heads_that_do_not_fit_are_refused(name: str, x: Tensor, classes: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_head(name, x, classes, seed=0)


def test_a_channel_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no axis 3 for channels; .* at -1"):
        make_head("linear", FLAT, CLASSES, seed=0, channel_axis=3)


def test_a_model_without_a_classifier_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(16, 16, 3), nn.Conv2d(16, 10, 3))
    with pytest.raises(ConfigError, match="end the model with its classifier"):
        add_heads(list(model), "linear", IMAGE, torch.tensor([9]), seed=0)


@pytest.mark.parametrize("shared", [False, True])
def test_a_network_gets_other_heads(shared: bool) -> None:
    net = ConvNet((6, 6), (1, 2), norm="group").build(1, 4, seed=0)
    x, y = features(5, 1, 8, 8), torch.arange(5) % 4
    fixed = with_heads(net, "random", x, seed=3, shared=shared)
    assert (fixed.heads[0] is fixed.heads[1]) == shared
    assert torch.equal(fixed.heads[0][-1].weight, fixed.heads[1][-1].weight) == shared
    PlainLocal().gradients(fixed, x, y)  # fixed heads have nothing to train, and modules learn
    assert not list(fixed.heads.parameters())
    assert all(p.grad is not None for p in fixed.local_modules.parameters())
    assert net.heads[0] is not fixed.heads[0]


def test_heads_by_a_callable() -> None:
    def make(out: Tensor, classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(out[0].numel(), classes))

    net = ConvNet((6, 4), (1, 2)).build(1, 4, seed=0)
    x = features(5, 1, 8, 8)
    made, same = (with_heads(net, make, x, seed=3) for _ in range(2))
    assert [h[-1].in_features for h in made.heads] == [6 * 64, 4 * 16]
    assert torch.equal(made(x), same(x))
    stages = [nn.Conv2d(1, 2, 3), nn.Sequential(nn.Flatten(), nn.Linear(72, 4))]
    added = add_heads(stages, make, x, torch.arange(4), seed=0)
    assert added.heads[0][-1].in_features == 72
    with pytest.raises(ConfigError, match="needs modules of one width"):
        with_heads(net, "linear", x, seed=0, shared=True)
