"""Two streams: flow, pooling and filters beside slow references, what cannot leak, the claims."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.neighbours import two_stream_video as two_stream
from localbook.neighbours.two_stream_video import TSLSTM, FrameNet, Scene, TemporalInception

NAME = "two-stream-video"
CLEAN = Scene(noise=0, blank=0, wander=0)
WAYS = {"right": (0, 1), "down": (1, 0), "up": (-1, 0)}


def moved(net):
    """The network in evaluation mode, its every weight and statistic moved."""
    torch.manual_seed(0)
    stats = [value for name, value in net.named_buffers() if "running" in name]
    for part in (*net.parameters(), *stats):
        part.data += torch.rand_like(part) / 2
    return net.eval()


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 999), st.sampled_from([3, 5]), st.sampled_from([0.0, 1.0]))
def test_flow_is_the_ridge_regression_of_every_window(seed, window, contrast):
    rng = np.random.default_rng(seed)
    one, two = contrast * rng.normal(size=(2, 6, 7))
    mean, reach = (one + two) / 2, window // 2
    flow = two_stream.lucas_kanade(one, two, window=window, ridge=0.1)
    for i, j in rng.integers(6, size=(5, 2)):
        rows, answers = [], []
        for k in range(i - reach, i + reach + 1):
            for m in range(j - reach, j + reach + 1):
                down = mean[(k + 1) % 6, m % 7] - mean[(k - 1) % 6, m % 7]
                right = mean[k % 6, (m + 1) % 7] - mean[k % 6, (m - 1) % 7]
                rows.append([down / 2, right / 2])
                answers.append(one[k % 6, m % 7] - two[k % 6, m % 7])
        rows += list(np.sqrt(0.1) * window * np.eye(2))
        expected = np.linalg.lstsq(np.array(rows), np.array([*answers, 0, 0]), rcond=None)[0]
        assert np.allclose(flow[:, i, j], expected, atol=1e-9)


def test_flow_follows_the_spot_without_its_colour_and_neither_way_lasts_longer():
    part, turns = CLEAN.videos(200, 0), []
    first, second = part.x.numpy().transpose(2, 0, 1, 3, 4)
    flow = two_stream.lucas_kanade(first, second)
    assert np.array_equal(flow, two_stream.lucas_kanade(-first, -second))
    weight = np.abs(first)[:, :, None]
    mean = (flow * weight).sum((3, 4)) / weight.sum((3, 4))  # (N, T, 2)
    steps = np.array(list(WAYS.values()))
    found = steps[(mean[:, :, None] * steps).sum(3).argmax(2)]
    for video, y in zip(found, part.y, strict=True):
        before, after = two_stream.CLASSES[y].split(", ")[1].split("-")
        turn = int((video == WAYS[before]).all(1).sum())
        turns.append(turn)
        assert (video[:turn] == WAYS[before]).all()
        assert (video[turn:] == WAYS[after]).all()
    assert (min(turns), max(turns)) == (10, 15)
    assert abs(np.mean(turns) - 25 / 2) < 0.4


def test_classes_are_even_and_the_seed_decides():
    scene = replace(CLEAN, side=8)
    part = scene.videos(8 * 50, 1)
    assert torch.bincount(part.y).tolist() == [50] * 8
    sign = part.x.flatten(1).mean(1) > 0
    assert torch.equal(sign, part.y < 4)
    assert not torch.equal(part.x[:8], scene.videos(8 * 50, 2).x[:8])
    assert torch.equal(part.x, scene.videos(8 * 50, 1).x)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 15), st.integers(0, 15))
def test_no_padding_tells_where_the_spot_is(down, right):
    x = Scene().videos(2, 0).x[:, :3]
    torch.manual_seed(0)
    for see in (x[:, :, :1], flow_of(x)):
        net = FrameNet(see.shape[2], 6, 8)
        there = see.roll((down, right), (3, 4))
        assert torch.allclose(net.features(there), net.features(see), atol=1e-6)
    assert torch.allclose(flow_of(x.roll((down, right), (3, 4))), there, atol=1e-6)


def test_zeros_at_the_border_do_tell():
    x = CLEAN.videos(1, 0).x[:, :1, :1]
    torch.manual_seed(0)
    net = FrameNet(1, 6, 8, padding="zeros")
    seen = torch.cat([net.features(x.roll(k, 4)) for k in range(16)])
    assert seen.std(0).max() > 1e-3 * seen.abs().max()


def flow_of(x):
    first, second = x.numpy().transpose(2, 0, 1, 3, 4)
    return torch.from_numpy(two_stream.lucas_kanade(first, second))


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("segments", [1, 3, 5])
def test_segments_are_normalised_pooled_and_read_one_after_the_other(segments, mean):
    net, x = moved(TSLSTM(4, 3, segments=segments, mean=mean)), torch.randn(6, 25, 4)
    length, c = 25 // segments, torch.zeros(6, 32)
    h = c
    for s in range(segments):
        norm, frames = net.norms[s], x[:, s * length : (s + 1) * length]
        z = (frames - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
        z = z * norm.weight + norm.bias
        step = z.mean(1) if mean else z.max(1).values
        w = dict(net.lstm.named_parameters())
        gates = step @ w["weight_ih_l0"].T + w["bias_ih_l0"]
        gates = gates + h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    assert torch.allclose(net(x), net.end(h), atol=1e-5)
    left = x.clone()
    left[:, segments * length :] += 1
    assert torch.equal(net(left), net(x))


def test_one_segment_knows_no_order_and_three_do():
    x = torch.randn(6, 25, 4)
    other = two_stream.shuffled(x, 1)
    assert torch.equal(other.sort(1).values, x.sort(1).values)
    assert not torch.equal(other, x)
    for segments, same in ((1, True), (3, False), (None, False)):
        net = moved(TSLSTM(4, 3, segments=segments))
        assert torch.allclose(net(x), net(other), atol=1e-6) == same


def test_whole_sequences_go_through_an_ordinary_lstm():
    net, x = moved(TSLSTM(4, 3, segments=None)), torch.randn(6, 25, 4)
    normed = F.batch_norm(
        x.flatten(0, 1), net.norms[0].running_mean, net.norms[0].running_var,
        net.norms[0].weight, net.norms[0].bias,
    )  # fmt: skip
    expected = net.end(net.lstm(normed.view(6, 25, 4))[0][:, -1])
    assert torch.allclose(net(x), expected, atol=1e-6)


def test_the_authors_start_makes_some_maxima_minima():
    torch.manual_seed(0)
    net = TSLSTM(40, 3)
    two_stream.start(net)
    assert max(weight.abs().max() for weight in net.parameters()) <= 0.1
    x, gamma = torch.randn(6, 24, 40), net.eval().norms[0].weight
    z = x[:, :8] / (1 + net.norms[0].eps) ** 0.5
    extreme = torch.where(gamma > 0, z.amax(1), z.amin(1))
    assert 5 < (gamma < 0).sum() < 35
    assert torch.allclose(net.pooled(x)[:, 0], gamma * extreme + net.norms[0].bias, atol=1e-6)


def test_inception_treats_every_feature_alike_and_by_itself():
    net, x = moved(TemporalInception(5, 3)), torch.randn(4, 25, 5)
    for f in range(5):
        maps = x[:, None, :, f]  # (N, 1, T)
        for stage, pool in enumerate((2, 2, 2, 3)):
            branches = []
            for conv, norm, *_ in list(net.branches)[2 * stage : 2 * stage + 2]:
                z = F.conv1d(maps, conv.weight[:, :, 0], conv.bias, padding=conv.padding[1])
                z = F.batch_norm(z, norm.running_mean, norm.running_var, norm.weight, norm.bias)
                branches.append(F.max_pool1d(z.relu(), pool))
            maps = torch.cat(branches, dim=1)
        assert maps.shape == (4, 16, 1)
        assert torch.allclose(
            net.each(x)[:, f], net.squeeze(maps[..., None])[:, 0, 0, 0], atol=1e-5
        )
    order = torch.randperm(5)
    assert torch.allclose(net.each(x[:, :, order]), net.each(x)[:, order], atol=1e-6)


def at(records, method):
    return np.array([row["test_accuracy"] for row in records[method].history])


def test_order_is_worth_what_shuffling_takes_away(records):
    for method in ("two-stream", "lstm-shuffled"):
        assert at(records, "lstm").mean() > at(records, method).mean() + 0.1
    slack = 3 * np.sqrt(0.25 / 80)
    assert (at(records, "lstm-shuffled") < 0.5 + slack).all()
    assert (at(records, "rgb") < 0.25 + slack).all()
    assert (at(records, "flow") < 0.25 + slack).all()


def test_runs_repeat(records, tmp_path):
    again = runs.read(run(NAME, methods=["flow"], out=tmp_path)[0])
    assert again.history == records["flow"].history


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Scene(turns=(9, 15)), "add up to frames"),
        (lambda: Scene(side=4), "at least 8"),
        (lambda: Scene(wander=1.5), "blank and wander probabilities"),
        (lambda: Scene(noise=-1), "noise=-1"),
        (lambda: Scene().videos(0, 1), "at least one video"),
        (lambda: TSLSTM(4, 3, segments=0), "segments=0"),
        (lambda: TSLSTM(4, 3, segments=5)(torch.zeros(2, 4, 4)), "cannot be cut into 5"),
        (lambda: TemporalInception(4, 3)(torch.zeros(2, 23, 4)), "23 frames"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
