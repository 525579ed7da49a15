"""Directions a loss cannot see come of dependence, and a basis can ignore them (bushnaq2024using).

Activations f (N, d) of a layer and the Jacobians J (N, c, d) of the outputs by them have Gram
matrices G = E ffᵀ and M = E JᵀJ. In the interaction basis the first is Λ, the second the identity;
Λ are the eigenvalues of GM, which f → Af, J → JA⁻¹ leaves alone. The paper's section on it could
not be read: the formula is that of its companion's code. The counting rule, and what a module's own
head values, are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from localbook.arrays import Floats, Masks, floats
from localbook.errors import ConfigError

TOLERANCE = 1e-9
"""Singular values below this share of the largest count as zero."""


def singular_values(A: ArrayLike) -> Floats:
    """Return the singular values of a matrix (n, p), falling."""
    table = floats(A)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ConfigError(f"give a finite matrix, not an array of shape {table.shape}.")
    return floats(np.linalg.svd(_short(table), compute_uv=False))


def rank(A: ArrayLike) -> int:
    """Return how many singular values are above the tolerance."""
    sizes = singular_values(A)
    return int((sizes > TOLERANCE * sizes.max(initial=0)).sum())


def _short(table: Floats) -> Floats:
    return floats(np.linalg.qr(table, mode="r")) if len(table) > table.shape[1] else table


def behaviour(net: nn.Module, x: Tensor) -> Floats:
    """Return the derivatives of all outputs at x (N, ...) by all P parameters, shape (N c, P).

    Its product with itself, over N, is the Hessian of L_B(θ) = ½ E‖f(x; θ) - f(x; θ*)‖² at θ*, so
    its rank is the number of directions in which the network's behaviour changes.
    """
    at = {name: w.detach() for name, w in net.named_parameters()}

    def outputs(parameters: dict[str, Tensor], one: Tensor) -> Tensor:
        found: Tensor = functional_call(net, parameters, one[None])[0]
        return found

    by = vmap(jacrev(outputs), (None, 0))(at, x)  # a table (N, c, ...) for each parameter
    return floats(torch.cat([part.flatten(2) for part in by.values()], dim=2).flatten(0, 1))


@dataclass(frozen=True)
class Count:
    """What the counting rule finds.

    Attributes
    ----------
    seen : int
        Σ a b over linear layers: a is the rank of what comes in, with a constant 1, and b that of
        the gradients that come back. What is missing to all parameters are sources one and two.
    orbits : int
        Σ over classes of neurons with the same gate on all inputs of (rank of their activations,
        with the constant 1 where the gate is always open) times (rank of their gradients). A class
        of one has its scale; what is more is source three.
    rarest : int
        So few inputs tell two classes apart, or one from a gate that is always open or shut.
    """

    seen: int
    orbits: int
    rarest: int

    @property
    def rank(self) -> int:
        """The predicted rank: the true one is not larger."""
        return self.seen - self.orbits


def counted(net: nn.Sequential, x: Tensor) -> Count:
    """Count directions of linear layers with ReLUs between them, on inputs (N, n)."""
    inputs, gradients, gates = _both_ways(net, x)
    seen = sum(rank(a) * rank(_flat(g)) for a, g in zip(inputs, gradients, strict=True))
    orbits, rarest = 0, len(x)
    for after, back, gate in zip(inputs[1:], gradients, gates, strict=False):
        classes, of = np.unique(gate, axis=1, return_inverse=True)
        for k, pattern in enumerate(classes.T):
            own = np.flatnonzero(of == k)
            moved = [*own, -1] if pattern.all() else own  # with the constant, which it lets through
            orbits += rank(_flat(back[:, :, own])) * rank(after[:, moved])
        ends = np.tile([True, False], (len(gate), 1))
        each = np.unique(np.hstack([classes, ends]), axis=1).astype(float)  # (N, K)
        more = each.T @ (1 - each)
        rarest = min(rarest, int((more + more.T)[~np.eye(len(more), dtype=bool)].min()))
    return Count(seen, orbits, rarest)


def _both_ways(net: nn.Sequential, x: Tensor) -> tuple[list[Floats], list[Floats], list[Masks]]:
    """Return linear layers' inputs (N, m + 1) with a last 1, gradients (N, c, m), and gates."""
    kinds = [type(part) for part in net]
    if kinds != [nn.Linear, nn.ReLU] * (len(kinds) // 2) + [nn.Linear]:
        raise ConfigError("counting needs linear layers, and one ReLU between any two of them.")
    weights, biases = (
        [floats(getattr(part, name)) for part in list(net)[::2]] for name in ("weight", "bias")
    )
    h, inputs, gates = floats(x), [], []
    for W, b in zip(weights, biases, strict=True):
        inputs.append(np.column_stack([h, np.ones(len(h))]))
        z = h @ W.T + b
        gates.append(z > 0)
        h = np.maximum(z, 0)
    g = np.broadcast_to(np.eye(h.shape[1]), (len(h), h.shape[1], h.shape[1]))
    gradients = [g]
    for W, gate in zip(weights[:0:-1], gates[-2::-1], strict=True):
        g = (g @ W) * gate[:, None]
        gradients.append(g)
    return inputs, gradients[::-1], gates[:-1]


def _flat(gradients: Floats) -> Floats:
    return gradients.reshape(-1, gradients.shape[-1])


def jacobian(of: Callable[[Tensor], Tensor], f: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs (N, c) of what follows activations f (N, d), and their J (N, c, d)."""
    f = f.detach().requires_grad_()
    with torch.enable_grad():
        out = of(f)
        rows = [
            torch.autograd.grad(out[:, k].sum(), f, retain_graph=True, materialize_grads=True)[0]
            for k in range(out.shape[1])
        ]
    return out.detach(), torch.stack(rows, 1)


def with_constant(f: Tensor, out: Tensor, J: Tensor) -> tuple[Tensor, Tensor]:
    """Return f with a last feature 1, and J with what the outputs owe to it, out - J f.

    Then biases count as weights on it, where all that follows f is piecewise linear.
    """
    owed = out[:, :, None] - J @ f[:, :, None]
    return torch.cat([f, torch.ones_like(f[:, :1])], 1), torch.cat([J, owed], 2)


@dataclass(frozen=True, eq=False)
class Basis:
    """Features f̂ = C (f - mean) of a layer, r of them.

    Attributes
    ----------
    C : ndarray (r, d)
    back : ndarray (d, r)
        With C back = 1; back f̂ + mean is f without what no feature reads.
    values : ndarray (r,)
        How much each counts, falling: Λ in the interaction basis.
    mean : ndarray (d,)
    """

    C: Floats
    back: Floats
    values: Floats
    mean: Floats

    def features(self, f: ArrayLike) -> Floats:
        """Return the features (N, r) of activations (N, d)."""
        out: Floats = (floats(f) - self.mean) @ self.C.T
        return out


def basis(
    f: ArrayLike, J: ArrayLike, *, G: bool = True, M: bool = True, centre: bool = True
) -> Basis:
    """Return the interaction basis, in which E f̂f̂ᵀ = Λ and E ĴᵀĴ = 1, or a simpler one.

    Parameters
    ----------
    f : array_like (N, d)
    J : array_like (N, c, d)
    G, M : bool
        Without M it is principal components, without G the eigenvectors of M with lengths √Λ,
        and without both the neurons: the identity stands for what is left out.
    centre : bool
        Take the mean out of f first; a constant that :func:`with_constant` has appended vanishes.

    Raises
    ------
    ConfigError
        If f and J do not fit each other, or are zero.
    """
    table, slopes = floats(f), floats(J)
    if table.ndim != 2 or slopes.ndim != 3 or slopes.shape[::2] != table.shape:
        raise ConfigError(f"Jacobians {slopes.shape} do not fit activations {table.shape}.")
    mean = table.mean(axis=0) if centre else np.zeros(table.shape[1])
    identity = np.eye(table.shape[1])
    S, W = _factor((table - mean) / np.sqrt(len(table)) if G else identity)
    L, V = _factor((_flat(slopes) / np.sqrt(len(table)) if M else identity) @ (W.T * S))
    return Basis((L[:, None] * V / S) @ W, W.T @ (S[:, None] * V.T) / L, L**2, mean)


def _factor(A: Floats) -> tuple[Floats, Floats]:
    """Return the singular values that are not zero, (r,), and their right vectors (r, d)."""
    _, sizes, rows = np.linalg.svd(_short(A), full_matrices=False)
    kept = sizes > TOLERANCE * sizes.max(initial=0)
    if not kept.any():
        raise ConfigError("activations or gradients are zero: take a layer that is alive.")
    return sizes[kept], rows[kept]


def interactions(lower: Basis, upper: Basis, f: ArrayLike, J: ArrayLike) -> Floats:
    """Return E_ij = E (∂f̂_i/∂f̂_j · f̂_j)², how much feature j moves feature i of a layer above.

    ``f`` (N, d) is the lower layer, and ``J`` (N, d', d) has the upper one's derivatives by it.
    """
    slopes = upper.C @ (floats(J) @ lower.back)  # (N, r', r)
    out: Floats = np.square(slopes * lower.features(f)[:, None]).mean(axis=0)
    return out


def effective_number(E: ArrayLike) -> Floats:
    """Return (Σ E)² / Σ E² along the last axis: how many entries carry the sum. Of zeros, 0."""
    table = floats(E)
    squares = np.square(table).sum(axis=-1)
    out: Floats = table.sum(axis=-1) ** 2 / np.where(squares, squares, 1)
    return out


def misvalued(f: ArrayLike, own: ArrayLike, last: ArrayLike) -> Basis:
    """Return features of variance one by how much more one reader values them than another.

    Readers are given by their Jacobians (N, c, d) and (N, c', d). Each shares its value out as
    S = RᵀMR / tr GM, where RRᵀ = G; f → Af turns both S alike. ``values`` are the eigenvalues of
    S_own - S_last: first those of which the own reader makes too much, last too little. Half the
    sum of their sizes is 0 where both value all directions alike, and 1 where none in common.
    """
    white = basis(f, own, M=False)
    R = white.back * np.sqrt(white.values)
    by = [_flat(floats(J)) @ R for J in (own, last)]
    if not all(A.any() for A in by):
        raise ConfigError("a head that reads nothing values nothing: train it first.")
    shares = [A.T @ A / np.square(A).sum() for A in by]
    values, V = (part[..., ::-1] for part in np.linalg.eigh(shares[0] - shares[1]))
    return Basis(V.T / np.sqrt(white.values) @ white.C, R @ V, values, white.mean)
