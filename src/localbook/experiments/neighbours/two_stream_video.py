"""Temporal models on features of two streams: with few and many videos, and what controls say."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Row
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    seed_by_seed,
    tune,
)
from localbook.fit import accuracy, fit, seeded

two_stream = neighbours.two_stream_video
CLASSES = len(two_stream.CLASSES)


@dataclass(frozen=True)
class Way:
    """What a method learns on the features, and which it sees.

    Attributes
    ----------
    net : callable or None
        Makes the temporal model; None averages the scores of the frames, and those of the streams.
    streams : tuple of str
        Of ``rgb`` and ``flow``, or ``padded``: rgb by a network that pads with zeros.
    shuffled : bool
        Whether every video's frames are in an order of its own, in training and in the test.
    control : bool
        Whether the largest number of videos is enough.
    """

    net: Callable[..., nn.Module] | None
    streams: tuple[str, ...] = ("rgb", "flow")
    shuffled: bool = False
    control: bool = False


LSTM = partial(two_stream.TSLSTM, segments=None)
TS_LSTM = two_stream.TSLSTM


def convolution(features: int, classes: int, *, hidden: int = 32, dropout: float) -> nn.Module:
    """Return an ordinary temporal convolution: features are channels, and time is pooled twice."""
    return _Channels(
        nn.Conv1d(features, hidden, 5, padding=2), nn.BatchNorm1d(hidden), nn.ReLU(),
        nn.MaxPool1d(5), nn.Conv1d(hidden, hidden, 5), nn.BatchNorm1d(hidden), nn.ReLU(),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(hidden, classes),
    )  # fmt: skip


class _Channels(nn.Sequential):
    """Layers on sequences (N, T, F) as (N, F, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, super().forward(x.transpose(1, 2)))  # type: ignore[no-untyped-call]


INCEPTION = two_stream.TemporalInception

WAYS: Mapping[str, Way] = {
    "rgb": Way(None, ("rgb",)),
    "flow": Way(None, ("flow",)),
    "two-stream": Way(None),
    "lstm": Way(LSTM),
    "ts-lstm": Way(TS_LSTM),
    "ts-lstm-mean": Way(partial(TS_LSTM, mean=True)),
    "inception": Way(INCEPTION),
    "convolution": Way(convolution),
    "ts-lstm-1": Way(partial(TS_LSTM, segments=1), control=True),
    "lstm-shuffled": Way(LSTM, shuffled=True, control=True),
    "ts-lstm-shuffled": Way(TS_LSTM, shuffled=True, control=True),
    "inception-shuffled": Way(INCEPTION, shuffled=True, control=True),
    "lstm-rgb": Way(LSTM, ("rgb",), control=True),
    "lstm-flow": Way(LSTM, ("flow",), control=True),
    "lstm-padded": Way(LSTM, ("padded",), control=True),
}
"""The baseline, the temporal models and the controls."""


@dataclass(frozen=True)
class TwoStream:
    """Streams and temporal models at one profile.

    Attributes
    ----------
    videos : tuple of int
        How many to train on, rising, of which controls see the most: the first ones that are drawn.
    others : tuple of int
        How many to choose with, and to test on.
    scene : Scene
    features, hidden : int
        Of each stream; of the temporal models.
    frame_steps, steps : int
        Of training each stream, and each temporal model.
    rates, starts : tuple
        The candidates: learning rates, and weights that start uniformly within so much, or as
        torch's do. Every temporal model chooses on validation.
    """

    seeds: int = 10
    methods: tuple[str, ...] = tuple(WAYS)
    videos: tuple[int, ...] = (40, 400)
    others: tuple[int, int] = (200, 400)
    scene: two_stream.Scene = field(default_factory=two_stream.Scene)
    features: int = 16
    hidden: int = 32
    frame_steps: int = 80
    steps: int = 150
    dropout: float = 0.5
    rates: tuple[float, ...] = (0.005, 0.015)
    starts: tuple[float | None, ...] = (None, 0.1)


def draw(setting: TwoStream, seed: int) -> dict[str, Samples]:
    """Return the splits of one seed: frames (N, T, 2, H, W), two at every moment, and classes."""
    sizes = zip(("train", "val", "test"), (setting.videos[-1], *setting.others), strict=True)
    return {
        split: setting.scene.videos(count, seed, number)
        for number, (split, count) in enumerate(sizes)
    }


def seen(x: Tensor) -> dict[str, Tensor]:
    """Return what each stream sees (N, T, C, H, W) of videos (N, T, 2, H, W)."""
    first, second = x.numpy().transpose(2, 0, 1, 3, 4)
    flow = torch.from_numpy(two_stream.lucas_kanade(first, second))
    return {"rgb": x[:, :, :1], "flow": flow, "padded": x[:, :, :1]}


@lru_cache(maxsize=1)
def _views(setting: TwoStream, seed: int) -> dict[str, tuple[dict[str, Tensor], Samples]]:
    return {split: (seen(part.x), part) for split, part in draw(setting, seed).items()}


@lru_cache(maxsize=256)
def extracted(setting: TwoStream, seed: int, videos: int, stream: str) -> dict[str, Samples]:
    """Return a stream's features and scores of all frames, joined (N, T, F + classes), by split.

    All methods of a run share them.
    """
    found: dict[str, Samples] = {}
    for split, (views, part) in _views(setting, seed).items():
        count = videos if split == "train" else len(part)
        x, y = views[stream][:count], part.y[:count]
        if not found:  # the first split is the one to train on
            net = frame_net(setting, stream, x, y, seed)
        with torch.no_grad():
            features = torch.cat([net.features(some) for some in torch.split(x, 50)])
            joined = torch.cat([features, net.head(features)], dim=2)
        found[split] = Samples(joined, y, part.source)
    return found


def frame_net(
    setting: TwoStream, name: str, x: Tensor, y: Tensor, seed: int
) -> two_stream.FrameNet:
    """Return a stream's network, trained on every frame (N, T, C, H, W) for its video's class."""
    padding: two_stream.Padding = "zeros" if name == "padded" else "circular"
    with seeded(seed):
        net = two_stream.FrameNet(x.shape[2], setting.features, CLASSES, padding=padding)
    flat, labels = x.flatten(0, 1), y.repeat_interleave(x.shape[1])
    return fit(net, flat, labels, steps=setting.frame_steps, batch_size=128, lr=0.01, seed=seed)


def sequences(setting: TwoStream, way: Way, videos: int, seed: int) -> dict[str, Samples]:
    """Return what a method sees of each split: features or scores of its streams, side by side."""
    found, splits = [extracted(setting, seed, videos, name) for name in way.streams], {}
    cut = slice(setting.features) if way.net else slice(setting.features, None)
    for number, split in enumerate(("train", "val", "test")):
        parts = [stream[split] for stream in found]
        x = torch.cat([part.x[:, :, cut] for part in parts], dim=2)
        x = two_stream.shuffled(x, 3 * seed + number) if way.shuffled else x
        splits[split] = Samples(x, parts[0].y, parts[0].source)
    return splits


def averaged(scores: Tensor) -> Tensor:
    """Return the mean over frames and streams of the softmax of scores (N, T, streams classes)."""
    return scores.view(*scores.shape[:2], -1, CLASSES).softmax(3).mean((1, 2))


def train(
    net: nn.Module, splits: Mapping[str, Samples], *, steps: int, lr: float, seed: int
) -> tuple[int, float]:
    """Train in place by Adam on batches of 32, and keep the best step of every 50th on ``val``.

    Return that step and its accuracy. Each number of a gradient is clamped at ±5, as the authors'.
    """
    best: tuple[float, int, dict[str, Any]] = (-1.0, 0, {})

    def look(step: int) -> None:
        nonlocal best
        if step % 50 == 0 or step == steps:
            found = accuracy(net.eval(), splits["val"].x, splits["val"].y)
            net.train()
            if found > best[0]:
                best = found, step, copy.deepcopy(net.state_dict())

    def clamped(weights: list[Tensor], lr: float) -> torch.optim.Optimizer:
        optimiser = torch.optim.Adam(weights, lr=lr)
        optimiser.register_step_pre_hook(lambda *_: nn.utils.clip_grad_value_(weights, 5.0))
        return optimiser

    x, y = splits["train"].x, splits["train"].y
    fit(net, x, y, steps=steps, batch_size=32, lr=lr, seed=seed, optimiser=clamped, after_step=look)
    net.load_state_dict(best[2])
    return best[1], best[0]


def measured(job: Job, videos: int, candidate: Row, seed: int) -> Row:
    """Train one temporal model, or none, and return its row."""
    setting, way = job.setting, WAYS[job.method]
    splits, row = sequences(setting, way, videos, seed), {"videos": videos}
    net: Callable[[Tensor], Tensor] = averaged
    if way.net:
        with seeded(seed):
            inputs, lr = splits["test"].x.shape[2], candidate["lr"]
            model = way.net(inputs, CLASSES, hidden=setting.hidden, dropout=setting.dropout)
            if candidate["start"]:
                two_stream.start(model, candidate["start"])
            row["step"], _ = train(model, splits, steps=setting.steps, lr=lr, seed=seed)
        row["parameters"] = sum(p.numel() for p in model.parameters())
        net = model
    right = {f"{name}_accuracy": accuracy(net, part.x, part.y) for name, part in splits.items()}
    return row | {name: round(share, 4) for name, share in right.items()}


def compared(job: Job) -> Outcome:
    """Choose rate and start for each number of videos on other data, then run all seeds."""
    setting, way = job.setting, WAYS[job.method]
    sizes = setting.videos[-1:] if way.control else setting.videos
    candidates = [{"start": s, "lr": lr} for s, lr in product(setting.starts, setting.rates)]
    chosen: dict[int, Row] = {}
    tuning: list[Row] = []

    def judge(videos: int, candidate: Row) -> float:
        score: float = measured(job, videos, candidate, TUNING_SEED)["val_accuracy"]
        return score

    for videos in sizes if way.net else ():
        chosen[videos], rows = tune(job, candidates, partial(judge, videos), name=f"{videos}-")
        tuning += [{"videos": videos} | row for row in rows]

    def measure(seed: int) -> tuple[Row, list[Row]]:
        rows = [measured(job, n, chosen.get(n, {}), seed) for n in sizes]
        return {f"test_accuracy_{row['videos']}": row["test_accuracy"] for row in rows}, rows

    return seed_by_seed(job, measure, {str(n): row for n, row in chosen.items()}, tuning)


TWO_STREAM = Experiment(
    {
        "quick": TwoStream(
            seeds=2,
            methods=("rgb", "flow", "two-stream", "lstm", "lstm-shuffled"),
            videos=(64,),
            others=(40, 80),
            frame_steps=60,
            steps=120,
            rates=(0.01,),
            starts=(0.1,),
        ),
        "cpu": TwoStream(),
    },
    compared,
    draw=draw,
)
