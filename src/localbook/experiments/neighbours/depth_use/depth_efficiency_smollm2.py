"""What a language model out of a package does without one of its layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from localbook import language, neighbours
from localbook.arrays import Row
from localbook.experiments.harness import Experiment, Job, Samples, each_seed
from localbook.experiments.neighbours.depth_use.depth_efficiency import three, threes

depth = neighbours.depth_efficiency


@dataclass(frozen=True)
class Reading:
    """SmolLM2 without one of its layers, on Python's manual.

    Attributes
    ----------
    methods : tuple of str
        The model, and one whose numbers are drawn, of the same sizes and spread.
    length : int
        Of the text that a seed draws: tokens.
    """

    seeds: int = 5
    methods: tuple[str, ...] = ("trained", "untrained")
    length: int = 64


@cache
def model() -> language.LanguageModel:
    """Return SmolLM2, read once."""
    return language.smollm2()


def text(setting: Reading, seed: int) -> dict[str, Samples]:
    """Return tokens (1, length) of one topic after another; the first is the end of a text."""
    tokenizer = model().tokenizer
    assert tokenizer is not None
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(topics))[:20]
    numbers = tokenizer.encode("\n\n".join(topics[name] for name in names))
    start = rng.integers(len(numbers) - setting.length)
    x = torch.tensor([[0, *numbers[start : start + setting.length - 1]]])
    return {"test": Samples(x, x, f"{setting.length} tokens of Python's manual")}


def drawn(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return matrices of normal numbers, each with the spread of the one it stands for."""
    draw = torch.Generator().manual_seed(seed)
    return {
        name: w.std() * torch.randn(w.shape, generator=draw) if w.ndim > 1 else w
        for name, w in weights.items()
    }


def read(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Look at one text; rows are one for each layer skipped, everywhere or in the past only."""
    x, smollm2 = job.splits(seed)["test"].x, model()
    weights = smollm2.weights if job.method == "trained" else drawn(smollm2.weights, seed)
    stream = language.llama(weights, smollm2.shape)
    states = stream.states(stream.embed(x))
    half = x.shape[1] // 2
    until = int(np.random.default_rng([seed, 1]).integers(half // 2, half + half // 2))
    row: Row = {"until": until, "loss": three(_loss(stream.read(states[-1][:, 1:]), x, 1))}
    row |= {key: threes(v) for key, v in depth.contributions(states, slice(1, None)).items()}
    row["norm"] = threes([h[:, 1:].norm(dim=-1).mean() for h in states[::2]])
    rows = []
    for mode, end in (("all", None), ("future", until)):
        first = 1 if end is None else end
        whole = stream.read(states[-1][:, first:])
        for layer, (later, scores) in enumerate(depth.skips(stream, states, first=1, until=end)):
            off, output = later.flatten(1), depth.moved(whole, scores)
            rows.append(
                {
                    "mode": mode,
                    "layer": layer,
                    "mean": threes(off.mean(1)),
                    "max": threes(off.amax(1)),
                    "output": three(output.mean()),
                    "output_max": three(output.max()),
                    "rise": three(_loss(scores, x, first) - _loss(whole, x, first)),
                }
            )
    return row, rows


def _loss(scores: Tensor, x: Tensor, first: int) -> Tensor:
    """Return nats a token of scores for the positions from the first on."""
    return F.cross_entropy(scores[0, :-1], x[0, first + 1 :])


DEPTH_EFFICIENCY_SMOLLM2 = Experiment({"cpu": Reading()}, each_seed(read), draw=text)
"""SmolLM2-135M; needs the extra ``language``."""
