"""Models with skip connections, maxima and the like are read as what their forward computes."""

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from localbook import tropical
from localbook.tropical.networks import BlockMatrix, backward, columns, product
from tests.tropical.reference_cells import all_regions, area
from tests.tropical.test_boundary import assert_equal_to_reference
from tests.tropical.test_network_conversion import assert_same_function, settled


class Net(nn.Module):
    """A forward of one function of some modules and the input."""

    def __init__(self, function, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x):
        return self.function(x, *self.layers)


def assert_read(model, shape, seed=0):
    model = settled(model, shape=shape, seed=seed)
    network = tropical.from_torch(model, shape)
    assert_same_function(model, network, shape)
    return network


FLAT = [
    nn.LeakyReLU(0.1),
    nn.PReLU(6, init=1.7),
    nn.ReLU6(),
    nn.Hardtanh(-0.3, 0.4),
    nn.Dropout(0.4),
    nn.BatchNorm1d(6),
    Net(lambda x: x.abs()),
    Net(lambda x: x.clamp(min=-0.2)),
    Net(lambda x: x.clamp(max=0.2)),
    Net(lambda x: torch.maximum(x, 0.3 - x.flip(1))),
    Net(lambda x: torch.minimum(x, torch.ones_like(x))),
    Net(lambda x, layer: F.relu(layer(x)) + x, nn.Linear(6, 6)),
    Net(lambda x, layer: torch.cat([layer(x).relu_(), x[:, 1:4]], dim=1), nn.Linear(6, 3)),
    Net(lambda x: x - 2 * x.mean(dim=1, keepdim=True) / 3),
    Net(lambda x: x.view(x.size(0), 2, 3).amax(dim=1).repeat(1, 2)),
    Net(lambda x, layer: x @ layer.weight.T, nn.Linear(6, 6)),
    Net(lambda x: torch.stack([x, -x]).max(dim=0)[0] - 0.5 * x),
    Net(lambda x: 1 - x.reshape(-1, 2, 3).transpose(1, 2).flatten(1) / 2),
]  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(range(len(FLAT))), min_size=1, max_size=5), st.integers(0, 3))
def test_any_chain_of_what_is_known_is_read(chosen, seed):
    assert_read(nn.Sequential(nn.Linear(4, 6), *(FLAT[k] for k in chosen)), (4,), seed)


IMAGES = [
    (nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(3, 2, 3, dilation=2, padding=2)),
    (nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(), nn.AvgPool2d(2, count_include_pad=False)),
    (nn.ReLU(), nn.MaxPool2d((2, 3), 1), nn.AdaptiveAvgPool2d((2, 3))),
    (nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1)),
    (nn.AdaptiveMaxPool2d(3), nn.ConstantPad2d((1, 0, 2, 1), 0.7), nn.ReLU6()),
    (nn.ConvTranspose2d(3, 6, 3, 2, 1, 1, groups=3, dilation=2), nn.Hardtanh(-0.1, 0.5)),
    (nn.Conv2d(3, 6, 3, groups=3, padding="same", padding_mode="circular"), nn.PixelShuffle(1)),
    (Net(lambda x, c: F.max_pool2d(F.relu(c(x)) + x, 2), nn.Conv2d(3, 3, 3, padding=1)),),
    (Net(lambda x, c: torch.cat([c(x).relu(), F.avg_pool2d(x, 3, 1, 1)], 1), nn.Conv2d(3, 2, 1)),),
]


@pytest.mark.parametrize("layers", IMAGES)
def test_images_are_read(layers):
    assert_read(nn.Sequential(nn.Conv2d(2, 3, 3), *layers, nn.Flatten()), (2, 7, 6))


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ((nn.Conv1d(2, 3, 3), nn.AvgPool1d(2), nn.ReLU(), nn.MaxPool1d(3, 2)), (2, 12)),
        ((nn.Conv1d(2, 3, 3), nn.AdaptiveAvgPool1d(4), nn.AdaptiveMaxPool1d(3)), (2, 9)),
        ((nn.Conv3d(1, 2, 2), nn.MaxPool3d(2), nn.ReLU(), nn.AvgPool3d(1)), (1, 4, 5, 4)),
    ],
)
def test_lines_and_volumes_are_read(layers, shape):
    assert_read(nn.Sequential(*layers, nn.Flatten()), shape)


def test_a_leaky_relu_and_a_skip_take_no_neuron_more():
    model = nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(0.1), nn.Linear(5, 2))
    network = tropical.from_torch(model)
    assert [len(b) for b in network.biases] == [5, 2]
    assert np.allclose(network.slopes[0], 0.1)
    skip = Net(lambda x, a, b: b(F.relu(a(x))) + x, nn.Linear(2, 5), nn.Linear(5, 2))
    network = tropical.from_torch(skip)
    assert network.neurons == 5
    assert network.slopes[0].tolist() == [0] * 5 + [1] * 2


def test_relus_before_a_maximum_are_taken_after_it():
    model = nn.Sequential(nn.Conv1d(1, 1, 1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten())
    assert tropical.from_torch(model, (1, 8)).neurons == 4 + 4


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)])
def test_the_scores_before_a_last_softmax_are_read(last):
    scores = nn.Linear(3, 4).double()
    network = tropical.from_torch(nn.Sequential(scores, last))
    assert_same_function(scores, network, (3,))


@pytest.mark.parametrize("k", range(len(FLAT)))
def test_the_same_function_with_relus_only(k):
    network = assert_read(nn.Sequential(nn.Linear(4, 6), FLAT[k], nn.Linear(6, 3)), (4,))
    plain = network.with_relus_only()
    assert not any(slope.any() for slope in plain.slopes)
    x = np.random.default_rng(0).normal(size=(50, 4))
    np.testing.assert_allclose(plain(x), network(x), atol=1e-12)


PLANAR = [
    Net(
        lambda x, a, b, c: c(F.relu(b(F.relu(a(x)))) + a(x)),
        nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 2),
    ),
    nn.Sequential(
        nn.Linear(2, 4), nn.LeakyReLU(0.3), nn.Linear(4, 3), nn.PReLU(3, 2.5), nn.Linear(3, 3)
    ),
    nn.Sequential(nn.Linear(2, 3), nn.Hardtanh(), nn.Linear(3, 2)),
    Net(lambda x, a, c: c(torch.maximum(a(x), x[:, :1]).abs()), nn.Linear(2, 3), nn.Linear(3, 2)),
]  # fmt: skip


def planar(k, seed):
    """Return a model of two inputs, whose classes tie at (0.1, 0.2), and its network."""
    torch.manual_seed(seed)
    model = PLANAR[k].double().eval()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    network = tropical.from_torch(model)
    shift = network.biases[-1] - network([[0.1, 0.2]])[0]
    biases = (*network.biases[:-1], shift)
    return tropical.ReLUNetwork(network.weights, biases, network.slopes)


@pytest.mark.parametrize("k", range(len(PLANAR)))
@pytest.mark.parametrize("seed", range(2))
def test_boundaries_and_regions_of_any_slopes(k, seed):
    box = ((-1.5, 1.5), (-1.0, 2.0))
    network = planar(k, seed)
    assert_equal_to_reference(network, box)
    regions = tropical.linear_regions(network, box)
    assert sum(regions.areas) == pytest.approx(9)
    points = regions.centres
    values = np.einsum("mkd,md->mk", regions.slopes, points) + regions.intercepts
    np.testing.assert_allclose(values, network(points), atol=1e-10)
    assert len(np.unique(regions.patterns, axis=0)) == len(regions)
    expected = all_regions(network, box)
    assert len(regions) == len(expected)
    assert sorted(regions.areas) == pytest.approx(sorted(area(p) for p, *_ in expected.values()))
    assert tropical.count_regions(network, box) == len(regions)
    found = tropical.decision_pieces(network, box)
    pieces = np.array(found.pieces)
    boundary = tropical.DecisionBoundary(pieces, found.classes, found.tied, found.tied_classes)
    assert_equal_to_reference(network, box, boundary)


def wide(network, count=600):
    """Add neurons that no score reads, and pass them on with a slope of their own."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, 2))
    weights = (
        np.vstack([network.weights[0], rows]),
        np.pad(network.weights[1], ((0, 0), (0, count))),
        *network.weights[2:],
    )
    biases = (np.append(network.biases[0], rng.normal(size=count)), *network.biases[1:])
    slopes = (np.append(network.slopes[0], rng.normal(size=count)), *network.slopes[1:])
    return tropical.ReLUNetwork(weights, biases, slopes)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_tiles_find_the_same_boundary(k):
    box = ((-1.5, 1.5), (-1.0, 2.0))
    network = planar(k, 0)
    found = tropical.decision_boundary(wide(network), box)
    assert_equal_to_reference(network, box, found)


@pytest.mark.parametrize("transposed", [False, True])
def test_products_in_blocks_are_products(transposed):
    torch.manual_seed(0)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    model = nn.Sequential(kind(4, 6, 3, stride=2, padding=1, groups=2), nn.Flatten())
    matrix = tropical.from_torch(nn.Sequential(model, nn.ReLU()), (4, 9, 8)).weights[0]
    assert isinstance(matrix, BlockMatrix)
    full = np.asarray(matrix)
    assert matrix.entries < full.size / 4
    rng = np.random.default_rng(0)
    right, left = rng.normal(size=(full.shape[1], 4)), rng.normal(size=(len(full), 4))
    np.testing.assert_allclose(product(matrix, right), full @ right, atol=1e-12)
    assert product(matrix, right[:, :0]).shape == (len(full), 0)
    np.testing.assert_allclose(product(abs(matrix), right), np.abs(full) @ right, atol=1e-12)
    np.testing.assert_allclose(backward(matrix, left), full.T @ left, atol=1e-12)
    some = rng.choice(full.shape[1], 9)
    np.testing.assert_allclose(backward(matrix, left, some), full[:, some].T @ left, atol=1e-12)
    np.testing.assert_array_equal(columns(matrix, some), full[:, some])
    assert product(matrix.astype(np.float32), right.astype(np.float32)).dtype == np.float32


def test_large_convolutions_share_their_weights():
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 5),
    )  # fmt: skip
    network = assert_read(model, (3, 16, 16))
    sparse = [w for w in network.weights if isinstance(w, BlockMatrix)]
    assert sum(w.stored for w in sparse) < sum(w.entries for w in sparse) / 3


def on_plane(model, side):
    """Return the plane through three images, and a box in which a model's classes all tie once."""
    rng = np.random.default_rng(0)
    images = rng.random((3, side, side)) + 1e-3 * rng.normal(size=(3, 3, side, side))
    plane = tropical.plane_through(*images)
    corners = plane.coordinates(images.reshape(3, -1))
    middle = plane.lift(corners.mean(axis=0)).reshape(1, 3, side, side)
    with torch.no_grad():
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        last.bias -= model(torch.from_numpy(middle))[0]
    return plane, tuple(zip(corners.min(axis=0), corners.max(axis=0), strict=True))


def resnet18():
    return torchvision.models.resnet18(num_classes=5)


def vgg11():
    """Return the layers of VGG-11, an eighth as wide."""
    layers = [8, "M", 16, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"]
    model = torchvision.models.VGG(torchvision.models.vgg.make_layers(layers), num_classes=5)
    model.avgpool, model.classifier = nn.Identity(), nn.Linear(64, 5)
    return model


@pytest.mark.parametrize("build", [resnet18, vgg11])
def test_the_boundary_of_a_model_of_torchvision_is_where_it_changes_its_mind(build):
    torch.manual_seed(0)
    model = build().double().eval()
    plane, box = on_plane(model, 32)
    network = plane.restrict(tropical.from_torch(model, (3, 32, 32)))
    found = tropical.decision_boundary(network, box).segments
    assert len(found) > 20

    def scores(points):
        with torch.no_grad():
            return model(torch.from_numpy(plane.lift(points).reshape(-1, 3, 32, 32))).numpy()

    chosen = scores(found[:20].mean(axis=1))
    top = np.sort(chosen, axis=1)
    scale = np.abs(scores(np.array(box).T)).max()  # the classes tie in the middle of the box
    assert (top[:, -1] - top[:, -2]).max() < 1e-9 * scale
    x = np.linspace(*box[0], 30)
    for y in np.linspace(*box[1], 5)[1:-1]:
        seen = scores(np.column_stack([x, np.full(30, y)])).argmax(axis=1)
        (x0, y0), (x1, y1) = found[:, 0].T, found[:, 1].T
        met = (y0 < y) != (y1 < y)
        crossings = (x0 + (y - y0) / (y1 - y0) * (x1 - x0))[met]
        between = np.histogram(crossings, x)[0]
        assert (between[np.diff(seen) != 0] > 0).all()
        assert (np.diff(seen)[between == 1] != 0).all()
        assert np.diff(seen).any()
