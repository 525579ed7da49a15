"""Two MLPs side by side predict clicks; gates and a fusion make them better (mao2023finalmlp).

A row is one value of each of F fields, and e its F embeddings of D numbers. Stream s sees
h_s = g_s * e through a gate g_s = 2 sigmoid(MLP(context)) and ends in o_s; the logit is
b + w_1 · o_1 + w_2 · o_2, in FinalMLP with a bilinear form o_1j' W_j o_2j for each head j as well.
Layers are those of the authors' published code, in words of ours; so are their rivals'.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook.arrays import Floats
from localbook.clicks import Clicks, auc, click_model, log_loss
from localbook.errors import ConfigError
from localbook.fit import fit

__all__ = ["FM", "Clicks", "Cross", "Fields", "Fusion", "Gate", "Streams", "Tower"]
__all__ += ["auc", "click_model", "log_loss", "logits", "train"]


class Fields(nn.Module):
    """Embeddings: one table for all fields, from x (N, F) to (N, F, D)."""

    first: Tensor

    def __init__(self, sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(sizes), dim)
        nn.init.normal_(self.table.weight, std=0.01)
        self.register_buffer("first", torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()]))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, F, D)."""
        out: Tensor = self.table(x + self.first)
        return out


class FM(nn.Module):
    """A factorisation machine, b + Σ_f a_f + Σ_{f<g} v_f · v_g; logistic regression if D is 0."""

    def __init__(self, sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        self.fields = Fields(sizes, 1 + dim)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,) of rows (N, F)."""
        a, v = self.fields(x).split([1, self.fields.table.embedding_dim - 1], dim=2)
        pairs = v.sum(1).square() - v.square().sum(1)  # (N, D)
        out: Tensor = self.bias + a.sum((1, 2)) + pairs.sum(1) / 2
        return out


class Cross(nn.Module):
    """The cross network of DCN (version 2): x_{l+1} = x_0 * (W_l x_l + b_l) + x_l."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, e: Tensor) -> Tensor:
        """Return (N, F D) of embeddings (N, F D)."""
        x = e
        for layer in self.layers:
            x = e * layer(x) + x
        return x


class Gate(nn.Module):
    """2 sigmoid(MLP(c)) (N, F D): c are embeddings of some fields, from a table of its own."""

    def __init__(self, sizes: Sequence[int], fields: Sequence[int], dim: int) -> None:
        super().__init__()
        self.seen, out = list(fields), len(sizes) * dim
        self.context = Fields([sizes[f] for f in fields], dim)
        self.mlp = nn.Sequential(nn.Linear(len(fields) * dim, out), nn.ReLU(), nn.Linear(out, out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the gate of rows (N, F)."""
        return 2 * torch.sigmoid(self.mlp(self.context(x[:, self.seen]).flatten(1)))


class Tower(nn.Module):
    """A gate (F D,) that is one for some fields and zero for the others, whatever is trained."""

    kept: Tensor

    def __init__(self, sizes: Sequence[int], fields: Sequence[int], dim: int) -> None:
        super().__init__()
        kept = torch.isin(torch.arange(len(sizes)), torch.tensor(fields)).float()
        self.register_buffer("kept", kept.repeat_interleave(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the same for all rows."""
        return self.kept


class Fusion(nn.Module):
    """Σ_j o_1j' W_j o_2j (N,): both streams cut into k heads, without a bias."""

    def __init__(self, d1: int, d2: int, k: int) -> None:
        super().__init__()
        if k < 1 or d1 % k or d2 % k:
            raise ConfigError(f"streams of {d1} and {d2} cannot be cut into {k} equal heads.")
        W = torch.empty(d1 * d2 // k, 1)
        self.W = nn.Parameter(nn.init.xavier_normal_(W).view(k, d1 // k, d2 // k))

    def forward(self, o1: Tensor, o2: Tensor) -> Tensor:
        """Return (N,) of outputs (N, d_1) and (N, d_2)."""
        k, a, b = self.W.shape
        return torch.einsum("nka,kab,nkb->n", o1.view(-1, k, a), self.W, o2.view(-1, k, b))


class Streams(nn.Module):
    """Streams on the same embeddings: one is an MLP, two a DualMLP, with gates and heads FinalMLP.

    Parameters
    ----------
    sizes : sequence of int
        How many values each field has.
    dim : int
        D, numbers of an embedding.
    widths : sequence of int
        Hidden neurons of each stream's one layer.
    gates : sequence of sequence of int
        The fields whose values gate each stream; without them there are no gates.
    towers : sequence of sequence of int
        The fields that each stream sees, where it is not to see all.
    heads : int
        Of the fusion of two streams; 0 for none.
    cross : int
        Layers of one more stream, which is a cross network.
    rolled : bool
        A control: the fusion pairs o_1 of each row with o_2 of the row before it.
    apart : bool
        Every stream learns by a loss of its own, and the logit is the mean of theirs.
    dropout : float
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dim: int,
        widths: Sequence[int],
        *,
        gates: Sequence[Sequence[int]] = (),
        towers: Sequence[Sequence[int]] = (),
        heads: int = 0,
        cross: int = 0,
        rolled: bool = False,
        apart: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(gates or towers) not in (0, len(widths)) or (heads and len(widths) != 2):
            raise ConfigError("give fields for each stream or for none, and fuse two streams only.")
        wide, ends = dim * len(sizes), [*widths]
        self.fields, self.rolled, self.apart = Fields(sizes, dim), int(rolled), apart
        self.gates = nn.ModuleList(
            [Gate(sizes, f, dim) for f in gates] or [Tower(sizes, f, dim) for f in towers]
        )
        self.streams = nn.ModuleList(
            nn.Sequential(nn.Linear(wide, d), nn.BatchNorm1d(d), nn.ReLU(), nn.Dropout(dropout))
            for d in widths
        )
        if cross:
            self.streams.append(Cross(wide, cross))
            ends.append(wide)
        self.ends = nn.ModuleList(nn.Linear(d, 1) for d in ends)  # w_s and b_s
        self.fusion = Fusion(widths[0], widths[1], heads) if heads else None

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Return o_s (N, d_s) of every stream at rows (N, F)."""
        e = self.fields(x).flatten(1)  # (N, F D)
        seen = [gate(x) * e for gate in self.gates] or [e] * len(self.streams)
        return [stream(h) for stream, h in zip(self.streams, seen, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N,); in training, where streams learn apart, (N, streams)."""
        o = self.outputs(x)
        each = torch.cat([end(part) for end, part in zip(self.ends, o, strict=True)], dim=1)
        if self.apart:
            return each if self.training else each.mean(1)
        logit = each.sum(1)
        return (
            logit if self.fusion is None else logit + self.fusion(o[0], o[1].roll(self.rolled, 0))
        )


@torch.no_grad()
def logits(net: nn.Module, clicks: Clicks) -> Floats:
    """Return the logits (N,) of a network in evaluation mode, all rows as one batch."""
    training = net.training
    out: Floats = net.eval()(clicks.x).double().numpy()
    net.train(training)
    return out


def train(
    net: nn.Module,
    splits: Mapping[str, Clicks],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    l2: float,
    seed: int,
) -> tuple[int, float]:
    """Train in place by Adam, and keep the epoch with the highest AUC on the split ``val``.

    Every step adds (l2 / 2) ‖E‖² of all embeddings to the mean logistic loss, as the authors do.
    Return the epoch and its AUC.
    """
    tables = [part.weight for part in net.modules() if isinstance(part, nn.Embedding)]
    others = [w for w in net.parameters() if all(w is not table for table in tables)]
    best: tuple[float, int, dict[str, Any]] = (-1.0, 0, {})
    in_epoch = -(-len(splits["train"]) // batch_size)

    def optimiser(_: object, lr: float) -> torch.optim.Optimizer:
        decayed = {"params": tables, "weight_decay": l2}
        groups: list[dict[str, Any]] = [decayed, {"params": others}]
        return torch.optim.Adam(groups, lr=lr)

    def after_step(step: int) -> None:
        nonlocal best
        if step % in_epoch == 0:
            found = auc(logits(net, splits["val"]), splits["val"].y.numpy())
            if found > best[0]:
                best = found, step // in_epoch, copy.deepcopy(net.state_dict())

    fit(
        net, splits["train"].x, splits["train"].y, epochs=epochs, batch_size=batch_size, lr=lr,
        seed=seed, loss=_loss, optimiser=optimiser, after_step=after_step,
    )  # fmt: skip
    net.load_state_dict(best[2])
    return best[1], best[0]


def _loss(logit: Tensor, y: Tensor) -> Tensor:
    """Return the mean logistic loss; of streams that learn apart, logits (N, S), the sum of it."""
    each = logit.reshape(len(y), -1)
    target = y[:, None].expand_as(each)
    return each.shape[1] * nn.functional.binary_cross_entropy_with_logits(each, target)
