"""The attacks that are compared, by name: the book's own, and those of well-kept libraries."""

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.tropical.attacks import Penalty, descent, fgsm, pgd, shortened, tropical_attack

if TYPE_CHECKING:
    from art.attacks import EvasionAttack
    from foolbox.attacks.base import MinimizationAttack

Candidate = dict[str, Any]


class Budget(Protocol):
    """The bounds of the perturbations."""

    @property
    def eps(self) -> float:
        """Of every pixel."""

    @property
    def weight_eps(self) -> float:
        """Of every weight of the first layer, where an attack keeps one."""


Attack = Callable[[nn.Sequential, Tensor, Tensor, Budget, Candidate], Tensor]


def _tropical(
    model: nn.Sequential, x: Tensor, y: Tensor, weight_eps: float, eps: float, chosen: Candidate
) -> Tensor:
    """Return eta where the pair is a success, and no perturbation elsewhere."""
    penalty = Penalty(margin=chosen["margin"], steps=chosen["steps"])
    found = tropical_attack(model, x, y, eps=eps, weight_eps=weight_eps, penalty=penalty)
    return torch.where(found.success[:, None], found.eta, 0)


def _library(
    make: Callable[[Any, Any, Budget, Candidate], "EvasionAttack"],
) -> Attack:
    """Return an attack of the Adversarial Robustness Toolbox as one of ours."""

    def attack(
        model: nn.Sequential, x: Tensor, y: Tensor, budget: Budget, chosen: Candidate
    ) -> Tensor:
        try:
            from art.attacks import evasion
            from art.estimators.classification import PyTorchClassifier
        except ImportError as error:
            raise ConfigError(
                "this attack is the Adversarial Robustness Toolbox's, which is not installed; run "
                "`pip install adversarial-robustness-toolbox`, or choose other methods."
            ) from error
        with torch.no_grad():
            classes = model(x[:1]).shape[1]
        classifier = PyTorchClassifier(
            model,
            nn.CrossEntropyLoss(),
            tuple(x.shape[1:]),
            classes,
            clip_values=(0, 1),
            device_type="gpu" if x.is_cuda else "cpu",
        )
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of numpy, inside the library
            found = make(evasion, classifier, budget, chosen).generate(
                x.cpu().numpy(), y.cpu().numpy()
            )
        return torch.from_numpy(found).to(x) - x

    return attack


def _foolbox(make: Callable[[Any, Candidate], "MinimizationAttack"]) -> Attack:
    """Return an attack of Foolbox that looks for the shortest perturbation, as one of ours."""

    def attack(
        model: nn.Sequential, x: Tensor, y: Tensor, budget: Budget, chosen: Candidate
    ) -> Tensor:
        try:
            with warnings.catch_warnings():  # of scipy, whose old names the library uses
                warnings.simplefilter("ignore", DeprecationWarning)
                import foolbox
                from foolbox.models.pytorch import PyTorchModel
        except ImportError as error:
            raise ConfigError(
                "this attack is Foolbox's, which is not installed; run `pip install foolbox`, or "
                "choose other methods."
            ) from error
        victim = PyTorchModel(model.eval(), bounds=(0, 1), device=x.device)
        with torch.enable_grad():
            _, found, _ = make(foolbox.attacks, chosen)(victim, x, y, epsilons=None)
        return torch.as_tensor(found) - x

    return attack


def _pgd(model: nn.Sequential, x: Tensor, y: Tensor, budget: Budget, chosen: Candidate) -> Tensor:
    return pgd(model, x, y, budget.eps, step=chosen["step"] * budget.eps, steps=40)


ATTACKS: Mapping[str, Attack] = {
    # The bound of the weights is the pixels': as a rule too wide to be felt.
    "tropical": lambda model, x, y, b, c: _tropical(model, x, y, b.eps, b.eps, c),
    "tropical-tight": lambda model, x, y, b, c: _tropical(model, x, y, b.weight_eps, b.eps, c),
    "fgsm": lambda model, x, y, b, c: fgsm(model, x, y, b.eps),
    "pgd": _pgd,
    # PGD never stops; what it finds is longer than it need be.
    "pgd-short": lambda model, x, y, b, c: shortened(model, x, y, _pgd(model, x, y, b, c)),
    "descent": lambda model, x, y, b, c: descent(model, x, y, b.eps, step=c["length"], steps=40),
    "art-pgd": _library(
        lambda evasion, classifier, b, c: evasion.ProjectedGradientDescent(
            classifier,
            eps=b.eps,
            eps_step=c["step"] * b.eps,
            max_iter=40,
            num_random_init=5,
            batch_size=100,
            verbose=False,
        )
    ),
    "art-apgd": _library(
        lambda evasion, classifier, b, c: evasion.AutoProjectedGradientDescent(
            classifier,
            eps=b.eps,
            eps_step=c["step"] * b.eps,
            max_iter=50,
            nb_random_init=2,
            loss_type="difference_logits_ratio",
            batch_size=100,
            verbose=False,
        )
    ),
    # From here on they have no bound: what they find counts if it happens to lie within.
    "ddn": _foolbox(
        lambda attacks, c: attacks.DDNAttack(init_epsilon=c["start"], gamma=c["gamma"])
    ),
    "deepfool": _foolbox(
        lambda attacks, c: attacks.L2DeepFoolAttack(
            candidates=c["classes"], overshoot=c["overshoot"]
        )
    ),
    "fmn": _foolbox(
        lambda attacks, c: attacks.L2FMNAttack(max_stepsize=c["step"], gamma=c["gamma"])
    ),
    "art-cw": _library(
        lambda evasion, classifier, b, c: evasion.CarliniL2Method(
            classifier,
            learning_rate=c["lr"],
            initial_const=c["const"],
            max_iter=30,
            binary_search_steps=5,
            batch_size=100,
            verbose=False,
        )
    ),
}
