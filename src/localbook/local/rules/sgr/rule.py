"""Successive gradient reconciliation (SGR)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, check_batch_norm, has_batch_norm
from localbook.local.rules.base import LocalRule, Signal
from localbook.local.rules.losses import CrossEntropy, LocalLoss, module_loss
from localbook.local.rules.sgr import recompute as recomputing
from localbook.local.rules.sgr.compiled import Compiler
from localbook.local.rules.sgr.step import (
    Penalised,
    Penalty,
    Step,
    Task,
    cosine_distance,
    double_backward,
    forward_over_reverse,
    load_forward_mode,
    per_position_distance,
    plain,
    relative_distance,
    sampled,
    squared_distance,
)

DISTANCES: dict[str, Penalty] = {
    "per_position": per_position_distance,
    "squared": squared_distance,
    "relative": relative_distance,
    "cosine": cosine_distance,
}
DERIVATIVES = {"double_backward": double_backward, "forward_over_reverse": forward_over_reverse}

Weight = float | tuple[float, ...]


@dataclass(frozen=True)
class SGR(LocalRule):
    r"""Any local loss plus a penalty on the discord between neighbouring modules.

    Module l >= 2 minimises, over its own weights and its head's,

    .. math::

        \frac1N \sum_i \ell_l^{(i)} + \lambda \frac{P}{N} \sum_i
        \Big\| \frac{\partial \ell_l^{(i)}}{\partial x_{l-1}^{(i)}} -
        \mathrm{sg}\,\frac{\partial \ell_{l-1}^{(i)}}{\partial x_{l-1}^{(i)}} \Big\|^2 ,

    where sg stops the gradient and P is the number of positions at the border: a head that averages
    over them gives each a gradient of 1/P of the size, so that without this factor λ would mean
    1/P of what it means for vectors. The idea is that of Yang et al., "Towards Interpretable Deep
    Local Learning with Successive Gradient Reconciliation" (ICML 2024); distance and normalisation
    are our reconstruction: per-sample gradients, so that λ does not depend on the batch size
    either. For a loss that ties samples together (similarities, contrast) the gradient of N times
    the mean loss stands for them.

    Attributes
    ----------
    weight : float, tuple of float, or callable
        λ >= 0; or one for each module, of which the first has no effect (no module is before it);
        or a schedule from the share of training that is over to either, resolved by :meth:`at`.
    distance : str or callable
        ``"per_position"`` as above (P is H·W for images, T for tokens, channels second or last),
        ``"squared"`` (without P), ``"relative"`` (squared, over the squared length of the target)
        or ``"cosine"`` (one minus the cosine, averaged over the samples); or a function of your own
        from per-sample gradients γ_l and targets δ_{l-1}, both (N, ...), to a scalar, such as the
        controls of :mod:`localbook.experiments.comparisons.ablation`.
    derivative : str
        How the penalty is differentiated, exactly either way: ``"double_backward"``, or
        ``"forward_over_reverse"``, a second pass through each module, from the same random state
        and the same buffers. Only what a module changes elsewhere, such as a counter that is a
        Python number, would be seen changed by the second pass.
    loss : LocalLoss
        ℓ_l for every module but the last, whose loss is the cross-entropy.
    modules_per_step : int or None
        How many modules, drawn anew in every step from torch's global generator, pay the penalty;
        None for all. λ grows in proportion, so that the expected gradient stays what it is, and a
        step costs less.
    samples_per_step : float
        The share of a batch's samples, drawn anew for every module and step, that pay the penalty;
        1 for all. The expected gradient stays what it is, and a step costs less. Not where samples
        are tied together, by BatchNorm, the loss or the relative distance.
    recompute : bool
        Keep no activations but those between a module's blocks (:func:`localbook.local.blocks`),
        and compute the others again, as gradient checkpointing does: the same gradients for less
        memory and more time. Only with double backward, and not compiled.
    compiler : Compiler, optional
        Compiles every module's step; :class:`localbook.local.Compute` puts it here.

    Raises
    ------
    ConfigError
        If a weight is negative or not a number, ``modules_per_step`` is below 1, or ``distance``
        or ``derivative`` is unknown.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> net = local.ConvNet((4, 4, 4), (1, 1, 1)).build(in_channels=1, classes=10, seed=0)
    >>> x, y = torch.randn(8, 1, 8, 8), torch.arange(8)
    >>> losses = local.SGR(weight=3.0).gradients(net, x, y)
    >>> losses.shape
    torch.Size([3])
    """

    compiles_steps = True

    weight: Weight | Callable[[float], Weight] = 1.0
    distance: str | Penalty = "per_position"
    derivative: str = "double_backward"
    loss: LocalLoss = field(default_factory=CrossEntropy)
    modules_per_step: int | None = None
    samples_per_step: float = 1.0
    recompute: bool = False
    compiler: Compiler | None = None

    def __post_init__(self) -> None:
        count = self.modules_per_step
        if count is not None and not (count >= 1 and count == int(count)):
            raise ConfigError(
                f"modules_per_step={count}: a whole number, and at least one module has to pay the "
                "penalty in a step; for none, use PlainLocal."
            )
        for kind, name, known in (
            ("distance", self.distance, list(DISTANCES)),
            ("derivative", self.derivative, list(DERIVATIVES)),
        ):
            if name not in known if isinstance(name, str) else not callable(name):
                raise ConfigError(f"SGR has no {kind} {name!r}; choose from: {', '.join(known)}.")
        if self.recompute and self.derivative != "double_backward":
            raise ConfigError(
                f"recompute=True goes with derivative='double_backward', not '{self.derivative}'."
            )
        if not 0 < self.samples_per_step <= 1:
            raise ConfigError(
                f"samples_per_step={self.samples_per_step} must be a share of the batch, above 0 "
                "and at most 1; for none, use PlainLocal."
            )
        if self.samples_per_step < 1 and (
            self.loss.ties_samples
            or self.distance == "relative"
            or self.recompute
            or self.derivative != "double_backward"
        ):
            raise ConfigError(
                "samples_per_step goes with the cross-entropy, a distance that is a mean over the "
                "samples, and double backward without recomputing; leave it at 1 otherwise."
            )
        if self.derivative == "forward_over_reverse":
            load_forward_mode()
        if not callable(self.weight):
            for weight in self.weight if isinstance(self.weight, tuple) else (self.weight,):
                if not _is_weight(weight):
                    raise ConfigError(
                        f"the SGR weight λ={weight} must be a number, zero or larger, or a tuple "
                        "with one for each module."
                    )

    @property
    def local(self) -> bool:  # type: ignore[override]
        """Whether every module pays in every step: which do is drawn for all of them together."""
        return self.modules_per_step is None

    @property
    def uses_image(self) -> bool:  # type: ignore[override]
        """Whether its loss does."""
        return self.loss.uses_image

    @property
    def hides_saved_tensors(self) -> bool:  # type: ignore[override]
        """Whether it takes the second derivative by ``torch.func``."""
        return self.derivative == "forward_over_reverse"

    def compiled(self, backend: str) -> "SGR":
        """Return the rule with every module's step compiled as a whole, if it is one step."""
        if self.recompute or self.samples_per_step < 1:
            return self
        return replace(self, compiler=Compiler(backend))

    def at(self, progress: float) -> "SGR":
        """Return the rule with the weight its schedule gives when a share of training is over."""
        return replace(self, weight=self.weight(progress)) if callable(self.weight) else self

    def shares(self, modules: int) -> tuple[float, ...]:
        """Return a large share for the first module, which pays no penalty; see ``Rule``."""
        return (2.0 * modules if self.recompute else 3.0, *(1.0,) * (modules - 1))

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`.

        Raises
        ------
        ConfigError
            If there is not one λ for each module, a module is frozen, or a batch of one sample
            meets BatchNorm.
        """
        check(net, x)
        if self.samples_per_step < 1 and has_batch_norm(net):
            raise ConfigError(
                "BatchNorm ties the samples of a batch together, so no part of them can pay alone: "
                "leave samples_per_step at 1, or take modules_per_step=1."
            )
        weights = tuple(self._weight((number, len(net))) for number in range(len(net)))
        if self.modules_per_step is not None:
            weights = _drawn(weights, self.modules_per_step)
        drawn = replace(self, weight=weights, modules_per_step=None)
        return LocalRule.gradients(drawn, net, x, y)

    def step(
        self, module: nn.Module, head: nn.Module, place: tuple[int, int], signal: Signal
    ) -> tuple[Tensor, Signal]:
        """Add one module's gradients; see :class:`localbook.local.rules.LocalRule`."""
        weight = self._weight(place)
        task = Task(module, head, module_loss(self.loss, place), signal.y, signal.image)
        x = signal.x.detach()  # gradient isolation: nothing flows back across this line
        take: Callable[..., Step]
        values: tuple[Any, ...]
        if signal.delta is None or weight == 0:
            take, values = recomputing.plain if self.recompute else plain, (x,)
        elif self.samples_per_step < 1:
            take = partial(sampled, share=self.samples_per_step)
            values = (x, signal.delta, partial(_times, weight, self._distance()))
        else:
            distance = self._distance()
            way = recomputing.penalised if self.recompute else DERIVATIVES[self.derivative]
            take = Penalised(way, distance)
            values = (x, signal.delta, weight)
        step = self.compiler.step(take, task, *values) if self.compiler else take(task, *values)
        return step.loss / len(x), replace(signal, x=step.out, delta=step.delta)

    def _distance(self) -> Penalty:
        return DISTANCES[self.distance] if isinstance(self.distance, str) else self.distance

    def _weight(self, place: tuple[int, int]) -> float:
        number, modules = place
        if callable(self.weight):
            raise ConfigError(
                "the SGR weight is a schedule; call .at(progress) and use the rule it returns."
            )
        if not isinstance(self.weight, tuple):
            return self.weight
        if len(self.weight) != modules:
            raise ConfigError(
                f"{len(self.weight)} SGR weights for {modules} modules: give one number for all, "
                "or exactly one for each."
            )
        return self.weight[number]


def _is_weight(value: object) -> bool:
    return isinstance(value, Real) and 0 <= float(value) < math.inf


def _times(weight: float, distance: Penalty, gamma: Tensor, target: Tensor) -> Tensor:
    return weight * distance(gamma, target)


def _drawn(weights: tuple[float, ...], count: int) -> tuple[float, ...]:
    """Keep some of the weights, drawn at random, so that their expectation stays the same.

    The first module's is left out: it has no effect.
    """
    candidates = [number for number, weight in enumerate(weights) if number and weight]
    if count >= len(candidates):
        return weights
    drawn = {candidates[i] for i in torch.randperm(len(candidates))[:count].tolist()}
    factor = len(candidates) / count
    return tuple(
        weight * factor if number in drawn else 0.0 for number, weight in enumerate(weights)
    )


def check(net: IsolatedNetwork, x: Tensor) -> None:
    """Refuse a network or a batch that cannot be trained module by module.

    Raises
    ------
    ConfigError
        If a module is frozen, or a batch of one sample meets BatchNorm.
    """
    for number, module in enumerate(net.local_modules, start=1):
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise ConfigError(
                f"module {number} has no parameter that requires grad; "
                "unfreeze it or make it part of a neighbour."
            )
    check_batch_norm(net, len(x))
