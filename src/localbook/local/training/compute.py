"""How a training step is computed: precision, memory format, compilation."""

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork
from localbook.local.rules import Rule

_FIRST_WITH_BF16 = (8, 0)  # compute capability: Ampere; older ones only emulate it, slowly


@dataclass(frozen=True)
class Compute:
    """What makes a step faster or smaller without changing what it computes, up to rounding.

    Attributes
    ----------
    bf16 : bool
        Train under bfloat16 autocast. Weights, sums of gradients and measurements stay float32;
        bfloat16 has float32's range, so no loss is scaled.
    channels_last : bool
        Keep images and convolutions in the order (N, H, W, C) in memory.
    compile : str
        The torch.compile backend for every module and head, such as ``"inductor"``; none if empty.
        For SGR it compiles every module's step as a whole, derivatives of gradients included.
    """

    bf16: bool = False
    channels_last: bool = False
    compile: str = ""

    def precision(self, device: torch.device) -> AbstractContextManager[object]:
        """Return the context to compute gradients in.

        Raises
        ------
        ConfigError
            If the device has no bfloat16.
        """
        return autocast(device, torch.bfloat16) if self.bf16 else nullcontext()

    def rule(self, rule: Rule) -> Rule:
        """Return the rule to train with; it is the same but for what it is compiled by."""
        return rule.compiled(self.compile) if self.compile else rule

    def arranged(self, x: Tensor) -> Tensor:
        """Return a batch of images (N, C, H, W) in the memory format asked for."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def prepared(self, net: IsolatedNetwork, rule: Rule, x: Tensor) -> IsolatedNetwork:
        """Return the network to train with: it shares its weights and buffers with ``net``.

        Parameters
        ----------
        net : IsolatedNetwork
            Its convolutions are brought to the memory format, in place.
        rule : Rule
        x : float tensor, shape (N, ...)
            A batch of images.

        Raises
        ------
        ConfigError
            If the rule cannot be compiled, channels_last makes no sense for the images or the
            network, or the device has no bfloat16.
        """
        self.precision(x.device)
        if self.channels_last:
            _check_channels(net, x)
            net.to(memory_format=torch.channels_last)
        if not self.compile:
            return net
        _check_compiles(rule)
        _check_backend(self.compile)
        if rule.compiles_steps:
            return net  # its rule compiles whole steps
        modules = [_compiled(module, self.compile) for module in net.local_modules]
        return IsolatedNetwork(modules, [_compiled(head, self.compile) for head in net.heads])


def _check_channels(net: nn.Module, x: Tensor) -> None:
    if x.ndim != 4:
        raise ConfigError(
            f"channels_last needs images (N, C, H, W), not inputs of shape {tuple(x.shape)}; "
            "leave it off."
        )
    if not any(parameter.ndim == 4 for parameter in net.parameters()):
        raise ConfigError(
            "channels_last needs convolutions and this network has none; leave it off."
        )


def _check_compiles(rule: Rule) -> None:
    if rule.by_hand:
        raise ConfigError(
            f"{type(rule).__name__} goes through each layer by hand, so there is nothing for "
            "torch.compile to compile; train without compile."
        )


def _check_backend(name: str) -> None:
    known = torch.compiler.list_backends(exclude_tags=())
    if name not in known:
        raise ConfigError(
            f"torch.compile has no backend '{name}'; choose from: {', '.join(known)}."
        )


def _compiled(module: nn.Module, backend: str) -> nn.Module:
    """Return a shallow copy, which shares everything but how it is called."""
    fast = copy.copy(module)
    fast.compile(backend=backend)
    return fast


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which a rule computes in ``dtype`` where that is safe.

    That is bfloat16: float16 would need its gradients scaled.
    """
    if not torch.amp.is_autocast_available(device.type):
        raise ConfigError(f"the device '{device}' has no autocast; train in float32 instead.")
    if dtype != torch.bfloat16:
        raise ConfigError(f"autocast in {dtype} is not supported here; take torch.bfloat16.")
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _FIRST_WITH_BF16:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"the GPU {name} has no bfloat16; train in float32 instead.")
    return torch.autocast(device.type, dtype)
