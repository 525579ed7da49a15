r"""Attacks by the input's gradient, short enough to be read: FGSM, PGD, and the shortest way.

All look for a perturbation :math:`\eta` with :math:`\|\eta\|_\infty \le \epsilon` and
:math:`x + \eta \in [0, 1]^n` that raises another class above the right one, the first two by the
gradient's sign. Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples"
(2015); Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks" (2018),
without the random start.
"""

from math import isfinite

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating

_HALVINGS = 20  # of the way back to the input


def fgsm(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Return the perturbation of one whole step along the sign of the gradient.

    Parameters
    ----------
    model : nn.Module
        From inputs to class scores; attacked in evaluation mode, whatever its mode is.
    x : Tensor
        Inputs (N, ...) with values in [0, 1].
    y : Tensor
        Right classes (N,), int64.
    eps : float

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ConfigError
        On an empty batch, inputs outside [0, 1], labels out of range, or a negative ``eps``.
    """
    return pgd(model, x, y, eps, step=check_bound("eps", eps), steps=1)


def pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, *, step: float, steps: int) -> Tensor:
    """Return the perturbation that ``steps`` projected steps along the gradient's sign reach.

    Parameters
    ----------
    model, x, y, eps
        See :func:`fgsm`.
    step : float
        Length of a step in each coordinate.
    steps : int

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ConfigError
        As :func:`fgsm`, and when there is no step or its length is negative.
    """
    low, high = _walk(model, x, y, eps, step, steps)
    eta = torch.zeros_like(x)
    for _ in range(steps):
        eta.requires_grad_()
        with evaluating(model):
            scores = model(x + eta)
        # As the cross-entropy but for a positive factor for each input, which in float32 is zero
        # where the right class leads by 17.
        others = scores.scatter(1, y[:, None], -torch.inf).logsumexp(dim=1)
        (gradient,) = torch.autograd.grad((others - scores.gather(1, y[:, None])[:, 0]).sum(), eta)
        eta = torch.clamp(eta.detach() + step * gradient.sign(), low, high)
    return eta


def descent(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, *, step: float, steps: int
) -> Tensor:
    """Return where steps down the lead of the right class first cross the boundary, or zero.

    Each step follows the gradient of the lead over the next class, of length 1 in the 2-norm, and
    is clipped to the bounds; an input that is over the boundary stays where it is, and is then
    :func:`shortened`. It is the plainest attack that looks for short perturbations.

    Parameters
    ----------
    model, x, y, eps
        See :func:`fgsm`.
    step : float
        Length of a step in the 2-norm.
    steps : int

    Returns
    -------
    Tensor
        Of the shape of ``x``, zero where no step crossed the boundary.

    Raises
    ------
    ConfigError
        As :func:`pgd`.
    """
    low, high = _walk(model, x, y, eps, step, steps)
    eta = torch.zeros_like(x)
    for _ in range(steps):
        eta.requires_grad_()
        with evaluating(model):
            scores = model(x + eta)
        right = scores.gather(1, y[:, None])[:, 0]
        lead = right - scores.scatter(1, y[:, None], -torch.inf).amax(dim=1)
        (gradient,) = torch.autograd.grad(lead.sum(), eta)
        unit = nn.functional.normalize(gradient.flatten(1), dim=1).view_as(eta)
        going = (lead > 0).view(-1, *[1] * (x.ndim - 1))
        eta = torch.where(going, torch.clamp(eta - step * unit, low, high), eta).detach()
    return shortened(model, x, y, eta)


def shortened(model: nn.Module, x: Tensor, y: Tensor, eta: Tensor) -> Tensor:
    """Return each perturbation moved back towards its input, as far as the class stays wrong.

    By bisection, which finds one place where the line crosses the boundary, not always the first.

    Parameters
    ----------
    model, x, y
        See :func:`fgsm`.
    eta : Tensor
        Perturbations of ``x``.

    Returns
    -------
    Tensor
        Of the shape of ``x``, zero where ``x + eta`` has the right class.

    Raises
    ------
    ConfigError
        As :func:`fgsm`.
    """
    check_batch(model, x, y)

    def wrong(share: Tensor) -> Tensor:
        with torch.no_grad(), evaluating(model):
            scores: Tensor = model(x + share * eta)
        return (scores.argmax(dim=1) != y).view_as(share)

    right_at = torch.zeros(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
    wrong_at = torch.ones_like(right_at)
    found = wrong(wrong_at)
    for _ in range(_HALVINGS):
        middle = (right_at + wrong_at) / 2
        hit = wrong(middle)
        wrong_at = torch.where(hit, middle, wrong_at)
        right_at = torch.where(hit, right_at, middle)
    return torch.where(found, wrong_at * eta, torch.zeros_like(eta))


def _walk(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Check what an attack in steps is given, and return its least and greatest perturbations."""
    check_batch(model, x, y)
    check_bound("step", step)
    if steps < 1:
        raise ConfigError(f"steps={steps} must be at least 1.")
    return feasible_box(x, eps)


def feasible_box(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the least and greatest perturbations that keep both the bound and the range [0, 1]."""
    bound = check_bound("eps", eps)
    return (-x).clamp(min=-bound), (1 - x).clamp(max=bound)


def check_bound(name: str, value: float) -> float:
    """Return a bound, which must be a finite number that is not negative."""
    if not (isfinite(value) and value >= 0):
        raise ConfigError(f"{name}={value} must be a finite number that is not negative.")
    return value


def check_batch(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Refuse inputs and labels that no attack can start from."""
    if len(x) == 0:
        raise ConfigError("the batch is empty: give at least one input to attack.")
    if not ((x >= 0) & (x <= 1)).all():  # false for NaN too
        raise ConfigError(
            "inputs must have values in [0, 1], without NaN: scale the images to [0, 1] and put a "
            "normalisation into the first layer's weights."
        )
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise ConfigError(
            f"labels of shape {tuple(y.shape)} and dtype {y.dtype} for {len(x)} inputs: "
            f"give int64 labels of shape ({len(x)},)."
        )
    with torch.no_grad(), evaluating(model):
        classes = model(x[:1]).shape[-1]
    if classes < 2:
        raise ConfigError("the model has one class: there is no other to move an input to.")
    if y.min() < 0 or y.max() >= classes:
        raise ConfigError(
            f"labels run from {int(y.min())} to {int(y.max())}, but the model has {classes} "
            f"classes: they must lie in 0..{classes - 1}."
        )
