"""The cosine of two vectors, however short they are."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine of each pair of vectors (N, ...), shape (N,); 0 where one is zero.

    PyTorch's own loses vectors shorter than 1e-8, and gradients of a sure network are.
    """
    return F.cosine_similarity(_scaled(a.flatten(1)), _scaled(b.flatten(1)))


def _scaled(x: Tensor) -> Tensor:
    largest = x.detach().abs().amax(1, keepdim=True)  # (N, 1)
    return x / torch.where(largest > 0, largest, 1.0)
