"""Rows of categories with clicks, drawn from a model that is known, and what predictions score."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from localbook.arrays import Floats
from localbook.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Clicks:
    """Rows of categories, and whether each was clicked.

    Attributes
    ----------
    x : Tensor (N, F), int64
        Of each field a value from 0 on.
    y : Tensor (N,), float32
        0 or 1.
    sizes : tuple of int
        How many values each field has.
    source : str
    logit : ndarray (N,), optional
        The true one, where it is known.

    Raises
    ------
    ConfigError
        If a value is outside its field, or shapes do not fit.
    """

    x: Tensor
    y: Tensor
    sizes: tuple[int, ...]
    source: str = ""
    logit: Floats | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.x.shape[1] != len(self.sizes) or len(self.x) != len(self.y):
            raise ConfigError(
                f"x {tuple(self.x.shape)}, y {tuple(self.y.shape)} and {len(self.sizes)} sizes: "
                "give rows of one value for each field, and one y for each row."
            )
        if len(self.x) and (self.x.min() < 0 or (self.x >= torch.tensor(self.sizes)).any()):
            raise ConfigError(f"x has a value outside its field; sizes are {self.sizes}.")

    def __len__(self) -> int:
        return len(self.x)


def click_model(
    rows: Mapping[str, int], *, pairs: int, levels: int, gamma: float, seed: int
) -> dict[str, Clicks]:
    """Return splits of drawn clicks whose true logit is known, and whose interactions are products.

    A user and an item have K = ``pairs`` fields each, of ``levels`` values. Every value has an
    effect and a strength, standard normal, and with s_k of the user and t_k of the item the logit
    is Σ_k [(effect_k + effect_{K+k}) / 2 + γ s_k t_k] / √K.

    Parameters
    ----------
    rows : mapping of split to how many rows
    pairs, levels, seed : int
    gamma : float
        γ: at 0 nothing interacts.
    """
    if min(pairs, levels, *rows.values()) < 1:
        raise ConfigError(f"pairs={pairs}, levels={levels}, rows={dict(rows)}: all at least 1.")
    rng = np.random.default_rng(seed)
    effect, strength = rng.normal(size=(2, 2 * pairs, levels))
    splits = {}
    for split, count in rows.items():
        x = rng.integers(levels, size=(count, 2 * pairs))
        alone, s = (table[np.arange(2 * pairs), x] for table in (effect, strength))  # (N, 2 K)
        together = s[:, :pairs] * s[:, pairs:]
        logit = (alone.sum(1) / 2 + gamma * together.sum(1)) / np.sqrt(pairs)
        y = torch.tensor(rng.random(count) * (1 + np.exp(-logit)) < 1).float()
        source = f"drawn clicks, {pairs} pairs of fields, γ = {gamma:g}"
        splits[split] = Clicks(torch.tensor(x), y, (levels,) * 2 * pairs, source, logit)
    return splits


def auc(logit: Floats, y: Floats) -> float:
    """Return the share of pairs of a click and a non-click in which the click scores higher.

    Ties count as half; scores (N,) and answers (N,) that are 0 or 1.
    """
    clicks = float(y.sum())
    if not 0 < clicks < len(y):
        raise ConfigError("the AUC needs a click and a row without one: give more rows.")
    ranks = rankdata(logit)[y > 0].sum()
    return float((ranks - clicks * (clicks + 1) / 2) / (clicks * (len(y) - clicks)))


def log_loss(logit: Floats, y: Floats) -> float:
    """Return the mean logistic loss, in nats, of logits (N,) on answers (N,)."""
    return float(np.mean(np.logaddexp(0, logit) - y * logit))
