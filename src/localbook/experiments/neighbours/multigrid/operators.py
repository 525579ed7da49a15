"""The opponents of multigrid operators: spectral, convolutional, and layers that learn apart."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Spectral(nn.Module):
    """A product with complex weights of the lowest frequencies, m functions to c (li2021fourier).

    Attributes
    ----------
    modes : int
        Frequencies along one axis; along the other as many of both signs.
    extension : str
        How a function goes on beyond its grid before it is taken as periodic: not at all
        (``"periodic"``), odd (``"dirichlet"``), even (``"neumann"``), or by ``"zeros"``, a quarter.
    """

    def __init__(self, m: int, c: int, modes: int, extension: str = "periodic") -> None:
        super().__init__()
        self.modes, self.extension = modes, extension
        self.weight = nn.Parameter(torch.randn(2, m, c, modes, modes, 2) / (m * 2**0.5))

    def forward(self, f: Tensor) -> Tensor:
        """Return the functions (N, c, n, n)."""
        n, k, x = f.shape[-1], self.modes, f
        for axis in (2, 3):
            x = torch.cat([x, *_beyond(x, axis, self.extension)], axis)
        size = x.shape[-1]
        low, weight = torch.fft.rfft2(x, norm="forward"), torch.view_as_complex(self.weight)
        out = low.new_zeros(len(f), weight.shape[2], size, size // 2 + 1)
        out[:, :, :k, :k] = torch.einsum("bixy,ioxy->boxy", low[:, :, :k, :k], weight[0])
        out[:, :, -k:, :k] = torch.einsum("bixy,ioxy->boxy", low[:, :, -k:, :k], weight[1])
        back: Tensor = torch.fft.irfft2(out, s=(size, size), norm="forward")
        return back[..., :n, :n]


def _beyond(x: Tensor, axis: int, extension: str) -> list[Tensor]:
    n, back = x.shape[axis], x.flip(axis)
    none = torch.zeros_like(x).narrow(axis, 0, (n + 1) // 4 if extension == "zeros" else 1)
    return {
        "periodic": [],
        "zeros": [none, none.narrow(axis, 0, 1)],
        "neumann": [back.narrow(axis, 1, n - 2)],
        "dirichlet": [none, -back, none],
    }[extension]


class FNO(nn.Module):
    """A Fourier neural operator: lifted a and coordinates, spectral layers, a projection."""

    def __init__(self, c: int, modes: int, layers: int) -> None:
        super().__init__()
        self.lift = nn.Conv2d(3, c, 1)
        self.W = nn.ModuleList(Spectral(c, c, modes, "zeros") for _ in range(layers))
        self.K = nn.ModuleList(nn.Conv2d(c, c, 1) for _ in range(layers))
        self.out = nn.Sequential(nn.Conv2d(c, 4 * c, 1), nn.GELU(), nn.Conv2d(4 * c, 1, 1))

    def forward(self, a: Tensor) -> Tensor:
        """Return u (N, 1, n, n)."""
        n = a.shape[-1]
        x = torch.arange(1, n + 1, dtype=a.dtype) / (n + 1)
        u = self.lift(torch.cat([a, *(t.expand_as(a) for t in (x, x[:, None]))], 1))
        for W, K in zip(self.W, self.K, strict=True):
            u = F.gelu(W(u) + K(u))
        answer: Tensor = self.out(u)
        return answer


class UNet(nn.Module):
    """Convolutions down to coarser grids and up again, a GELU after each, sums across."""

    def __init__(self, c: int, levels: int) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.first = nn.ModuleList(conv(c if k else 1, c) for k in range(levels))
        self.down = nn.ModuleList(nn.Conv2d(c, c, 3, 2) for _ in range(levels - 1))
        self.up = nn.ModuleList(nn.ConvTranspose2d(c, c, 3, 2) for _ in range(levels - 1))
        self.second = nn.ModuleList(conv(c, c) for _ in range(levels - 1))
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, a: Tensor) -> Tensor:
        """Return u (N, 1, n, n)."""
        u, kept = F.gelu(self.first[0](a)), []
        for first, down in zip(self.first[1:], self.down, strict=True):
            kept.append(u)
            u = F.gelu(first(F.gelu(down(u))))
        for up, second in zip(self.up, self.second, strict=True):
            u = F.gelu(second(F.gelu(up(u)) + kept.pop()))
        answer: Tensor = self.out(u)
        return answer


class Apart(nn.Module):
    """Layers of c functions without gradients between them, each with a last combination."""

    def __init__(self, layers: Iterable[nn.Module], c: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.heads = nn.ModuleList(nn.Conv2d(c, 1, 1, bias=False) for _ in self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return every layer's u (N, layers, n, n)."""
        found = []
        for layer, head in zip(self.layers, self.heads, strict=True):
            x = layer(x.detach())
            found.append(head(x))
        return torch.cat(found, 1)


def convolutions(widths: Sequence[int]) -> nn.Sequential:
    """Return 3 x 3 convolutions without biases, with zeros beyond the grid."""
    pairs = pairwise(widths)
    return nn.Sequential(*(nn.Conv2d(m, c, 3, padding=1, bias=False) for m, c in pairs))
