"""Learning rules by name: ``bp``, or ``[sgr-]RULE-kK`` for a local rule with K modules."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    CrossEntropy,
    Greedy,
    InfoPro,
    IsolatedNetwork,
    LocalLoss,
    PlainLocal,
    PredSim,
    Rule,
    equip,
    with_dgl_heads,
)

LOSSES: dict[str, LocalLoss] = {
    "local": CrossEntropy(),
    "dgl": CrossEntropy(),  # what sets DGL apart is its heads
    "predsim": PredSim(),
    "infopro": InfoPro(),
}
RuleOf = Callable[[str, float, int], Rule]
"""From a method's name, λ and the number of modules to the learning rule."""

RATE_SCALE: Mapping[str, float] = {"ff": 0.002}
"""By what a method's learning rates are multiplied: a sum of squares has steep gradients."""

_UNWEIGHTED = {"bp", "greedy", *LOSSES, "fa", "dfa", "ff", "noprop"}
_NAME = re.compile(r"(?P<sgr>sgr-)?(?P<rule>[a-z]+)-k(?P<k>\d+)")


def has_weight(method: str) -> bool:
    """Say whether a method, such as ``resnet8_sgr-dgl-k4`` or ``late``, has a λ to choose."""
    return method.rpartition("_")[2].partition("-")[0] not in _UNWEIGHTED


def by_name(table: Mapping[str, Callable[[float, int], Rule]]) -> RuleOf:
    """Return the rules of a table, each made from λ and the number of modules."""

    def rule(method: str, weight: float, modules: int) -> Rule:
        if method not in table:
            raise ConfigError(f"unknown method {method!r}; choose from {', '.join(table)}.")
        return table[method](weight, modules)

    return rule


RULES: Mapping[str, Callable[[float, int], Rule]] = {
    "bp": lambda weight, modules: BP(),
    "local": lambda weight, modules: PlainLocal(),
    "sgr": lambda weight, modules: SGR(weight, "squared"),
}


@dataclass(frozen=True)
class Method:
    """A learning rule and the number of modules it trains.

    Attributes
    ----------
    rule : str
        ``"bp"``, ``"greedy"`` or a key of :data:`LOSSES`.
    k : int
        The number of modules K; for ``"bp"`` that of the modules that are only looked at.
    reconciled : bool
        Whether the SGR penalty is added.
    """

    rule: str
    k: int
    reconciled: bool = False

    @classmethod
    def named(cls, name: str, bp_modules: int = 4) -> "Method":
        """Return the method of that name."""
        if name == "bp":
            return cls("bp", bp_modules)
        parts = _NAME.fullmatch(name)
        if parts is None or parts["rule"] not in {*LOSSES, "greedy"}:
            raise ConfigError(
                f"unknown method {name!r}; give bp, or such as local-k4 or sgr-dgl-k8, with one of "
                f"the rules greedy, {', '.join(LOSSES)}."
            )
        if parts["sgr"] and parts["rule"] == "greedy":
            raise ConfigError(
                "greedy learning trains one module at a time: there is no gradient beside it to "
                "reconcile with, so choose sgr-local."
            )
        return cls(parts["rule"], int(parts["k"]), bool(parts["sgr"]))

    def make(self, weight: float) -> Rule:
        """Return the rule; only a reconciled one looks at ``weight``, its λ."""
        if self.rule == "bp":
            return BP()
        if self.rule == "greedy":
            return Greedy(progress=0.0)
        loss = LOSSES[self.rule]
        return SGR(weight, "squared", loss=loss) if self.reconciled else PlainLocal(loss)

    def equipped(self, net: IsolatedNetwork, example: Tensor, seed: int) -> IsolatedNetwork:
        """Return the network with the heads and auxiliary parts that the rule needs."""
        if self.rule == "dgl":
            return with_dgl_heads(net, example, seed=seed)
        return equip(net, LOSSES.get(self.rule, CrossEntropy()), example, seed=seed)
