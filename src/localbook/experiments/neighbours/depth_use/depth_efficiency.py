"""What depth is used for where pointers are chased, by networks of three rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from localbook import neighbours
from localbook.arrays import Row
from localbook.experiments.harness import Experiment, Job, Samples, each_seed, significant
from localbook.local import BP, SGR, IsolatedNetwork, PlainLocal, Rule

depth = neighbours.depth_efficiency


@dataclass(frozen=True)
class Chasing:
    """Transformers that chase pointers, trained by three rules.

    Attributes
    ----------
    methods : tuple of str
        ``bp``, ``local``, ``sgr``, ``untrained``; and ``maps``, by back-propagation: from networks
        of few layers to those of more, trained and untrained, and between two seeds of the latter.
    n, hops, questions : int
        Of :func:`localbook.neighbours.depth_efficiency.puzzles`.
    width, heads : int
    depths : mapping of method to tuple of int
        Layers of the networks that are trained.
    steps, batch_size : int
    lr : float
        Of AdamW, the same for all; it rises over a tenth of the steps, then falls to nothing.
    weight : float
        SGR's λ.
    test : int
        Puzzles.
    """

    seeds: int = 5
    methods: tuple[str, ...] = ("bp", "local", "sgr", "untrained", "maps")
    n: int = 7
    hops: int = 4
    questions: int = 8
    width: int = 48
    heads: int = 4
    depths: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {
            "bp": (4,),
            "local": (4,),
            "sgr": (4,),
            "untrained": (4,),
            "maps": (2, 4),
        }
    )
    steps: int = 450
    batch_size: int = 64
    lr: float = 0.003
    weight: float = 0.1
    test: int = 300


three = partial(significant, digits=3)


def threes(values: Iterable[Any]) -> list[float]:
    """Return numbers with three significant digits."""
    return [three(v) for v in values]


def draw(setting: Chasing, seed: int) -> dict[str, Samples]:
    """Return the puzzles that are looked at; those to train on are drawn as they are needed."""
    make = torch.Generator().manual_seed(10_000 + seed)
    x, y = depth.puzzles(setting.test, setting.n, setting.hops, setting.questions, make)
    return {"test": Samples(x, y, f"{setting.test} rings of {setting.n}, drawn")}


def trained(setting: Chasing, method: str, layers: int, seed: int) -> IsolatedNetwork:
    """Return a network of so many layers, trained by a method's rule."""
    net = depth.chaser(
        setting.n,
        setting.hops,
        setting.questions,
        depth=layers,
        width=setting.width,
        heads=setting.heads,
        seed=seed,
    )
    if method == "untrained":
        return net
    rules: dict[str, Rule] = {
        "bp": BP(),
        "maps": BP(),
        "local": PlainLocal(),
        "sgr": SGR(setting.weight, "squared"),
    }
    optimiser = torch.optim.AdamW(net.parameters(), setting.lr, fused=True)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, setting.lr, setting.steps, pct_start=0.1, cycle_momentum=False
    )
    make = torch.Generator().manual_seed(seed)
    for _ in range(setting.steps):
        x, y = depth.puzzles(setting.batch_size, setting.n, setting.hops, setting.questions, make)
        optimiser.zero_grad()
        rules[method].gradients(net, x, y)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        rate.step()
    return net


def chased(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train networks of each depth; rows are one for each depth and number of hops."""
    setting: Chasing = job.setting
    test, asked = job.splits(seed)["test"], slice(-setting.questions, None)
    final: Row = {}
    rows: list[Row] = []
    behind: dict[int, list[Tensor]] = {}
    for layers in setting.depths[job.method]:
        net = trained(setting, job.method, layers, seed).eval()
        stream = depth.stream_of(net)
        states = stream.states(stream.embed(test.x))
        parts = depth.contributions(states, asked)
        final |= {f"{key}_{layers}": threes(v) for key, v in parts.items()}
        behind[layers] = _asked(states, asked)
        rows += [{"depth": layers} | row for row in by_hops(net, states, test, setting)]
    if job.method == "maps":
        few, many = setting.depths["maps"]
        others = {"deep": behind[many]}
        for name, method, layers in (("again", "maps", many), ("untrained", "untrained", many)):
            stream = depth.stream_of(trained(setting, method, layers, seed + 1000))
            others[name] = _asked(stream.states(stream.embed(test.x)), asked)
        for name, states in others.items():
            source = behind[many if name == "again" else few]
            maps = depth.stitching(source, states)
            final[f"map_{name}"] = [threes(line) for line in maps]
    return final, rows


def _asked(states: Sequence[Tensor], asked: slice) -> list[Tensor]:
    """Return the questions' states (M, C), of the embedding and behind each layer."""
    return [h[:, asked].flatten(0, 1) for h in states[::2]]


@torch.no_grad()
def by_hops(
    net: IsolatedNetwork, states: Sequence[Tensor], test: Samples, setting: Chasing
) -> list[Row]:
    """Return a row for each number of hops: what heads know, and what skipping a layer does.

    ``effect`` is the mean change of the probabilities and ``effect_max`` the largest, ``lost`` the
    accuracy that is lost; ``score`` and ``in_use`` are means over questions, not of ``effect``.
    """
    Q, stream = setting.questions, depth.stream_of(net)
    whole = stream.read(states[-1][:, -Q:])
    skipped = [scores[:, -Q:] for _, scores in depth.skips(stream, states)]
    effects = torch.stack([depth.moved(whole, other) for other in skipped], -1)  # (N, Q, L)
    heads = [scores.argmax(1) == test.y for scores in net.all_scores(test.x)]
    right = [other.argmax(-1) == test.y for other in skipped]
    k = torch.arange(Q) % setting.hops + 1
    rows = []
    for hops in range(1, setting.hops + 1):
        of = k == hops
        e = effects[:, of].double().numpy()
        centre, in_use = depth.depth_score(e)
        accuracy = heads[-1][:, of].double().mean()
        rows.append(
            {
                "hops": hops,
                "heads": threes(hit[:, of].double().mean() for hit in heads),
                "effect": threes(e.mean((0, 1))),
                "effect_max": threes(e.max((0, 1))),
                "lost": threes(accuracy - hit[:, of].double().mean() for hit in right),
                "score": three(centre.mean()),
                "in_use": three(in_use.mean()),
            }
        )
    return rows


DEPTH_EFFICIENCY = Experiment(
    {
        "quick": Chasing(
            seeds=2,
            n=4,
            hops=2,
            questions=4,
            width=16,
            depths={"bp": (2,), "local": (2,), "sgr": (2,), "untrained": (2,), "maps": (1, 2)},
            steps=20,
            test=30,
        ),
        "cpu": Chasing(),
    },
    each_seed(chased),
    draw=draw,
)
