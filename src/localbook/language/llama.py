"""The forward pass of Llama's kind of transformer, as a residual stream in plain torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from localbook.streams import Stream, Sublayer


@dataclass(frozen=True)
class Shape:
    """The numbers of a model of Llama's kind that its weights do not tell.

    Several heads of queries share one of the ``kv_heads``, of keys and values; ``theta`` is the
    base of the rotary angles, and ``eps`` is added under the root of RMSNorm.
    """

    layers: int
    heads: int
    kv_heads: int
    theta: float
    eps: float


def llama(weights: Mapping[str, Tensor], shape: Shape) -> Stream:
    r"""Return the stream from token numbers (N, T) to next tokens' scores (N, T, V).

    Position t reads positions up to t only. Attention and MLP are

    .. math:: f(h) = W_o \, \text{softmax}(QK^\top / \sqrt d) V, \quad
        f(h) = W_d (\text{silu}(W_g \bar h) \odot W_u \bar h),

    where the bar is RMSNorm, and Q and K, made of it, are turned by t / θ^{2i/d} in the plane of
    numbers 2i and 2i + 1 of each head. (Other libraries turn numbers i and i + d/2; the rows of
    their matrices stand in another order.)

    Parameters
    ----------
    weights : mapping of name to Tensor
        By the names of GGUF files, such as ``blk.0.attn_q.weight``. Where ``output.weight`` is
        missing, the scores are products with the embeddings.
    shape : Shape
    """
    words = weights["token_embd.weight"]
    ahead = {"attn": ("attn_q", "attn_k", "attn_v"), "ffn": ("ffn_gate", "ffn_up")}
    sublayers = []
    for layer in range(shape.layers):
        named = {n: weights[f"blk.{layer}.{n}.weight"] for n in _NAMES}
        sizes = {part: sum(w.numel() for n, w in named.items() if part in n) for part in ahead}
        q, k, v, gate, up = (
            _folded(named[n], named[f"{part}_norm"]) for part, some in ahead.items() for n in some
        )
        attention = _Attention(torch.cat([q, k, v], dim=1), _folded(named["attn_output"]), shape)
        mlp = _MLP(gate, up, _folded(named["ffn_down"]), shape)
        sublayers.append(Sublayer("attention", layer, attention, sizes["attn"]))
        sublayers.append(Sublayer("mlp", layer, mlp, sizes["ffn"]))
    out, gains = weights.get("output.weight", words), weights["output_norm.weight"]

    def read(h: Tensor) -> Tensor:
        rows = (_normed(h, shape.eps) * gains).flatten(0, 1)
        scores = (out @ rows.T).T  # the larger factor first: so large a matrix is read faster
        return scores.view(*h.shape[:2], -1)

    return Stream(lambda x: F.embedding(x, words), sublayers, read)


_NAMES = (
    "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output",
    "ffn_norm", "ffn_gate", "ffn_up", "ffn_down",
)  # fmt: skip


def _folded(matrix: Tensor, norm: Tensor | None = None) -> Tensor:
    """Return what normalised rows are multiplied by: the norm's gains, then the matrix.

    It lies in memory as it is read, which is faster where there are few tokens.
    """
    return (matrix if norm is None else matrix * norm).T.contiguous()


def _normed(h: Tensor, eps: float) -> Tensor:
    return F.rms_norm(h, h.shape[-1:], eps=eps)


@dataclass(frozen=True, eq=False)
class _MLP:
    gate: Tensor
    up: Tensor
    down: Tensor
    shape: Shape

    def __call__(self, h: Tensor) -> Tensor:
        h = _normed(h, self.shape.eps)
        return F.silu(h @ self.gate, inplace=True).mul_(h @ self.up) @ self.down


@dataclass(frozen=True, eq=False)
class _Attention:
    qkv: Tensor
    out: Tensor
    shape: Shape

    def __call__(self, h: Tensor) -> Tensor:
        heads, shared = self.shape.heads, self.shape.kv_heads
        qkv = _normed(h, self.shape.eps) @ self.qkv
        qkv = qkv.view(*h.shape[:2], heads + 2 * shared, -1)  # (N, T, heads, d)
        qk = _rotated(qkv[:, :, : heads + shared], self.shape.theta).transpose(1, 2)
        q, k = qk[:, :heads], qk[:, heads:]  # (N, heads, T, d)
        v = qkv[:, :, heads + shared :].transpose(1, 2)
        k, v = (part.repeat_interleave(heads // shared, dim=1) for part in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return mixed.transpose(1, 2).flatten(2) @ self.out


def _rotated(x: Tensor, theta: float) -> Tensor:
    """Turn numbers (N, T, heads, d), two by two."""
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    turns = _turns(x.shape[1], x.shape[3], theta)
    return torch.view_as_real(pairs * turns[:, None]).flatten(3)


@lru_cache(maxsize=8)
def _turns(T: int, d: int, theta: float) -> Tensor:
    """Return e^{i t / θ^{2j/d}}, shape (T, d/2)."""
    speed = theta ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.outer(torch.arange(T, dtype=torch.float64), speed)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
