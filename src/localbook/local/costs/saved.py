"""Memory held for backward, counted tensor by tensor, on any device."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, SavedTensors, copied
from localbook.local.rules import Rule


@dataclass(frozen=True)
class SavedBytes:
    """Bytes of activations that autograd held for backward during one batch.

    Attributes
    ----------
    peak : int
        The most that was held at once.
    per_module : tuple of int, length L
        The most that was held at once of what each module, with its head and loss, saved.
    """

    peak: int
    per_module: tuple[int, ...]


def saved_bytes(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> SavedBytes:
    """Measure what a rule holds for backward on one batch, by saved-tensor hooks.

    Each storage counts once, however many tensors share it, and from the moment the first of them
    is saved until autograd drops the last. Parameters and buffers do not count: they are there
    anyway. The network, its gradients and the random state are left as they were.

    Parameters
    ----------
    rule : Rule
        Not one that hides its saved tensors, as SGR's forward-over-reverse path does.
    net : IsolatedNetwork
        Measured in the mode (train or eval) it is in.
    x : float tensor, shape (N, ...)
    y : int64 tensor, shape (N,)

    Raises
    ------
    ConfigError
        If the rule hides its saved tensors: it differentiates by torch.func.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> net = local.ConvNet((4, 4, 4), (1, 1, 1)).build(in_channels=1, classes=10, seed=0)
    >>> x, y = torch.zeros(8, 1, 8, 8), torch.arange(8)
    >>> bp, sgr = (local.saved_bytes(rule, net, x, y) for rule in (local.BP(), local.SGR()))
    >>> sgr.peak < bp.peak
    True
    """
    ledger = _watched(rule, net, x, y)
    return SavedBytes(ledger.peak, tuple(ledger.peak_of[number] for number in range(len(net))))


def saved_course(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> list[int]:
    """Return how the bytes held for backward rise and fall while a rule runs on one batch.

    One number for each tensor saved or dropped, counted as by :func:`saved_bytes`, which says what
    is measured and what is refused; the first and the last are 0.
    """
    return _watched(rule, net, x, y).course


def _watched(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> SavedTensors:
    """Run a rule on a copy of the network under the hooks of a ledger."""
    if rule.hides_saved_tensors:
        raise ConfigError(
            "torch.func hides its saved tensors, so this rule cannot be measured by hooks; "
            "measure the double-backward path, or the allocator's peak on a GPU."
        )
    net = copied(net)
    net.zero_grad(set_to_none=True)
    ledger = SavedTensors([*net.parameters(), *net.buffers()])
    for number, pair in enumerate(net.pairs()):
        for part in pair:
            part.register_forward_pre_hook(_becomes_owner(ledger, number))
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), ledger.hooks():
        rule.gradients(net, x, y)
    return ledger


def _becomes_owner(ledger: SavedTensors, number: int) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        ledger.owner = number

    return hook
