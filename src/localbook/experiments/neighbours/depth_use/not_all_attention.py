"""What can be dropped: from a language model out of a package, and from vision transformers."""

import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook import language, neighbours
from localbook.arrays import Floats, Row
from localbook.data import DeviceImages
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    each_seed,
    fewer_images,
    rounded,
    seed_by_seed,
    tune,
)
from localbook.fit import seeded
from localbook.local import (
    BP,
    SGR,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    linear_probe,
    residual_stream,
    small_vit,
    train,
)
from localbook.streams import Stream

drop = neighbours.not_all_attention


@dataclass(frozen=True)
class Dropping:
    """SmolLM2 without some of its sublayers, on Python's manual.

    Attributes
    ----------
    methods : tuple of str
        Of ``PARTS``, what is ranked; ``greedy``, the oracle of attention; ``untrained``, the model
        with its numbers shuffled.
    windows, length : int
        Of text: windows of so many tokens to rank by, and as many of other topics to judge by.
    counts : mapping of part to tuple of int
        How many groups are dropped.
    control : int
        So many are dropped by other orders.
    draws : int
        Random orders of each kind.
    greedy : int
        So many steps of the oracle.
    """

    seeds: int = 5
    methods: tuple[str, ...] = (*drop.PARTS, "greedy", "untrained")
    windows: int = 1
    length: int = 64
    counts: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "attention": (1, 2, 4, 6, 8, 12, 15, 20),
            "mlp": (1, 2, 4, 8, 12, 15),
            "block": (1, 2, 4, 8),
            "joint": (4, 8, 12, 16, 20),
        }
    )
    control: int = 8
    draws: int = 2
    greedy: int = 4


@cache
def model() -> tuple[Any, Stream]:
    """Return SmolLM2, read once, and its stream."""
    read = language.smollm2()
    return read, read.stream()


def draw(setting: Dropping, seed: int) -> dict[str, Samples]:
    """Return tokens (windows, length) of ``calibration`` and of ``test``, from other topics.

    Each window begins with token 0, the end of a text: attention needs a place to rest on.
    """
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(topics))
    text = "".join(topics[name] for name in sorted(topics))
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    source = f"the manual in Python {platform.python_version()} (topics {mark})"
    splits = {}
    for split, some in (("calibration", names[::2]), ("test", names[1::2])):
        numbers = model()[0].tokenizer.encode("\n\n".join(topics[name] for name in some))
        starts = rng.integers(len(numbers) - setting.length, size=setting.windows)
        rows = [[0, *numbers[start : start + setting.length - 1]] for start in starts]
        splits[split] = Samples(torch.tensor(rows), torch.tensor(rows), source)
    return splits


def dropped(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Rank by the calibration text and drop, on the test text; rows are one for each group."""
    setting: Dropping = job.setting
    splits, (read, stream) = job.splits(seed), model()
    x, new = splits["calibration"].x, splits["test"].x
    part = job.method
    if part == "untrained":
        stream = language.llama(drop.shuffled(read.weights, seed), read.shape)
        states = stream.states(stream.embed(x))
        return {
            f"similarity_{part}": rounded(drop.similarity(states, drop.groups(stream, part)).mean())
            for part in ("attention", "mlp", "block")
        }, []
    judge, h = drop.next_token_loss(new), stream.embed(new)
    if part == "greedy":
        some = drop.groups(stream, "attention")
        score = drop.oracle(stream, drop.next_token_loss(x[:1]))
        order = drop.one_by_one(stream, stream.embed(x[:1]), some, setting.greedy, score)
        few = [n for n in setting.counts["attention"] if n <= setting.greedy]
        losses = drop.curve(stream, h, some, order, few, judge)
        return {"order": order.tolist()} | _losses(few, losses), []
    some, counts = drop.groups(stream, part), setting.counts[part]
    states = stream.states(stream.embed(x))
    S = drop.similarity(states, some)
    order = drop.ranked(S)
    whole = stream(new)
    row: Row = {
        "loss": rounded(judge(whole)),
        "accuracy": rounded((whole[:, :-1].argmax(-1) == new[:, 1:]).float().mean()),
        "order": order.tolist(),
        "parameters": drop.parameters(stream, some)[:2].tolist(),
    } | _losses(counts, drop.curve(stream, h, some, order, counts, judge))
    rows = [{"group": k, "similarity": rounded(s)} for k, s in enumerate(S)]
    if part == "joint":
        return row, rows
    later = drop.similarity([state[:, 1:] for state in states], some)  # without the first token
    alone = drop.damage(stream, states, some, drop.next_token_loss(x))
    for k, one in enumerate(rows):
        one |= {"without_first": rounded(later[k]), "damage": rounded(alone[k])}
    n, rng = [setting.control], np.random.default_rng([seed, 1])
    by_turns = drop.one_by_one(
        stream,
        stream.embed(x),
        some,
        setting.control,
        lambda at, left, _: drop.similarity(at, left),
    )
    inner = np.arange(2, len(some) - 2)
    orders = {"iterative": [by_turns], "by_damage": [drop.ranked(-alone)], "reverse": [order[::-1]]}
    orders["random"] = [rng.permutation(len(some)) for _ in range(setting.draws)]
    orders["random_inner"] = [rng.permutation(inner) for _ in range(setting.draws)]
    for name, of in orders.items():
        row[name] = rounded(np.mean([drop.curve(stream, h, some, o, n, judge) for o in of]))
    gone = [i for k in order[: setting.control] for i in some[k]]
    return row | {"time": rounded(_time(stream, new, gone))}, rows


def _losses(counts: Sequence[int], found: Floats) -> Row:
    return {f"loss_{n}": rounded(loss) for n, loss in zip(counts, found, strict=True)}


def _time(stream: Stream, x: Tensor, gone: Sequence[int]) -> float:
    """Return the share of the whole forward pass's processor time that is left, interleaved."""
    spent = np.zeros((2, 2))
    for k in range(2):
        for which, without in enumerate(([], gone)):
            start = time.process_time()
            stream(x, without=without)
            spent[k, which] = time.process_time() - start
    return float(np.median(spent[:, 1]) / np.median(spent[:, 0]))


SMOLLM2 = Experiment({"cpu": Dropping()}, each_seed(dropped), draw=draw)
"""SmolLM2-135M; needs the extra ``language``."""


@dataclass(frozen=True)
class Trained:
    """Vision transformers on images, whose blocks are modules.

    Attributes
    ----------
    methods : tuple of str
        ``bp``, ``local``, ``sgr``: trained by the last head, each block by its own, and by SGR.
    width, depth, heads, patch : int
        Of :func:`localbook.local.small_vit`.
    schedule : Schedule
        Its rate is replaced by the chosen one.
    rates : tuple of float
        Candidates for all methods.
    weights : tuple of float
        Candidates of SGR's λ.
    looks : tuple of int
        Epochs after which the stream is looked at; 0 is the untrained network.
    """

    data: str = "digits"
    seeds: int = 5
    methods: tuple[str, ...] = ("bp", "local", "sgr")
    width: int = 32
    depth: int = 4
    heads: int = 4
    patch: int = 2
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            epochs=20, batch_size=64, lr=0.003, weight_decay=0.05, optimiser="adamw"
        )
    )
    rates: tuple[float, ...] = (0.003,)
    weights: tuple[float, ...] = (0.1,)
    looks: tuple[int, ...] = (0, 5, 10, 20)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def chain(
    setting: Trained, channels: int, side: int, classes: int, seed: int
) -> tuple[nn.Module, IsolatedNetwork]:
    """Return a vision transformer, and its blocks as modules, each with a head of its own."""
    sizes = {"width": setting.width, "depth": setting.depth, "heads": setting.heads}
    vit = small_vit(classes, image=side, patch=setting.patch, seed=seed, **sizes)
    with seeded(seed + 1):
        embed = nn.Conv2d(channels, setting.width, setting.patch, setting.patch)
        vit.get_submodule("0").embed = embed
        first, *blocks = list(vit.children())[:-3]
        modules = [nn.Sequential(first, blocks[0]), *blocks[1:]]
        end = list(vit.children())[-3:]
        heads = [
            nn.Sequential(nn.LayerNorm(setting.width), end[1], nn.Linear(setting.width, classes))
            for _ in modules[1:]
        ]
    return vit, IsolatedNetwork(modules, [*heads, nn.Sequential(*end)])


def rule(method: str, weight: float) -> Rule:
    """Return the rule of a method."""
    return {"bp": BP(), "local": PlainLocal(), "sgr": SGR(weight, "squared")}[method]


@torch.no_grad()
def looked(stream: Stream, x: Tensor, new: Tensor, y: Tensor) -> list[Row]:
    """Return a row for each part: similarities on x, and the damage of each group on new images.

    ``damage`` is in nats, ``lost`` in accuracy; ``share`` is the length of what the group
    adds over that of what is there.
    """
    states, at = stream.states(stream.embed(x)), stream.states(stream.embed(new))
    rows = []
    for part in ("attention", "mlp", "block"):
        some = drop.groups(stream, part)
        share = [
            ((at[g[-1] + 1] - at[g[0]]).norm(dim=-1) / at[g[0]].norm(dim=-1)).mean() for g in some
        ]
        nats = drop.damage(stream, at, some, lambda s: F.cross_entropy(s, y).item())
        lost = -drop.damage(stream, at, some, lambda s: right(s, y))
        found = {"similarity": drop.similarity(states, some), "damage": nats, "lost": lost}
        found["share"] = np.array(share)
        rows.append({"part": part} | {key: [rounded(v) for v in of] for key, of in found.items()})
    return rows


def right(scores: Tensor, y: Tensor) -> float:
    """Return the accuracy."""
    return (scores.argmax(1) == y).double().mean().item()


def trained(job: Job) -> Outcome:
    """Choose rate and λ on the validation split, then train, look and drop, seed by seed."""
    setting: Trained = job.setting
    train_set = DeviceImages(job.sets["train"])
    held, test = (DeviceImages(job.sets[s], stats=train_set.stats) for s in ("val", "test"))
    (x, _), (new, y) = (images.at(slice(None)) for images in (train_set, test))
    classes, (channels, side) = len(job.sets["train"].class_names), x.shape[1:3]

    def fitted(net: Any, seed: int, candidate: Row, on: DeviceImages, **how: Any) -> Row:
        by = rule(job.method, candidate.get("weight", 0.0))
        schedule = replace(setting.schedule, lr=candidate["lr"])
        how |= {"seed": seed, "measure_epochs": False}
        return train(net, by, train_set, on, schedule, **how)[-1]

    def judged(candidate: Row) -> float:
        net = chain(setting, channels, side, classes, TUNING_SEED)[1]
        return float(fitted(net, TUNING_SEED, candidate, held)["accuracy"][-1])

    more: list[Row] = [{"weight": w} for w in setting.weights] if job.method == "sgr" else [{}]
    candidates = [{"lr": lr} | weight for lr in setting.rates for weight in more]
    chosen, tuning = tune(job, candidates, judged)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        vit, net = chain(setting, channels, side, classes, seed)
        stream = residual_stream(vit)
        history = [{"epoch": 0} | row for row in looked(stream, x, new, y)]

        def look(row: Row, net: IsolatedNetwork) -> None:
            if row["epoch"] in setting.looks:
                history.extend({"epoch": row["epoch"]} | r for r in looked(stream, x, new, y))

        last = fitted(net, seed, chosen, test, on_epoch=look)
        row: Row = {
            "test_accuracy": rounded(last["accuracy"][-1]),
            "heads": [rounded(v) for v in last["accuracy"]],
            "probes": [
                rounded(v) for v in linear_probe(net, [train_set.at(slice(None))], [(new, y)])
            ],
        }
        states, h = stream.states(stream.embed(x)), stream.embed(new)
        rng = np.random.default_rng([seed, 1])
        for part in ("attention", "mlp", "block"):
            some = drop.groups(stream, part)
            orders = {
                "similarity": drop.ranked(drop.similarity(states, some)),
                "random": rng.permutation(len(some)),
            }
            for by, order in orders.items():
                kept = drop.curve(
                    stream, h, some, order, range(len(some) + 1), lambda s: right(s, y)
                )
                row[f"{part}_{by}"] = [rounded(v) for v in kept]
        return row, history

    return seed_by_seed(job, measured, chosen, tuning)


DIGITS = Experiment(
    {
        "quick": Trained(
            seeds=2,
            width=16,
            depth=3,
            schedule=Schedule(epochs=4, batch_size=64, lr=0.003, optimiser="adamw"),
            rates=(0.003,),
            weights=(0.1,),
            looks=(0, 4),
            images=(300, 100, 200),
        ),
        "cpu": Trained(),
    },
    trained,
    fewer_images,
)
"""Is redundancy a product of back-propagation?"""
