"""Feedback alignment and direct feedback alignment: errors come back through random weights."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork
from localbook.local.rules.backprop import BP
from localbook.local.rules.base import Rule
from localbook.local.rules.targets import onehot

Layer = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class FeedbackAlignment(Rule):
    """Back-propagation whose backward pass has a fixed random matrix in place of each weight.

    Only weights of linear and convolution layers are replaced; activations and normalisations send
    errors back as they are. The random weights are normal with variance 1 / fan-in (our choice) and
    drawn again from the seed at every call, so that the rule keeps no state. The heads before the
    last are trained on detached activations, as under BP.

    Lillicrap et al., "Random synaptic feedback weights support error backpropagation for deep
    learning" (2016).

    Attributes
    ----------
    seed : int
    """

    by_hand = True

    seed: int = 0

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`.

        Raises
        ------
        ConfigError
            If a weight matrix belongs to another kind of layer, such as attention.
        """
        found = layers([*net.local_modules, net.heads[-1]])
        with going_back_through(zip(found, random_weights(found, self.seed), strict=True)):
            return BP().gradients(net, x, y)


@dataclass(frozen=True)
class DirectFeedbackAlignment(Rule):
    r"""The last error, sent to every module by a fixed random matrix of its own.

    Module l < L takes for the gradient at its output

    .. math:: \delta_l^{(i)} = B_l^\top (\mathrm{softmax}(s^{(i)}) - \mathrm{onehot}(y^{(i)})),

    where s are the last head's scores and the entries of B_l are normal with variance one over the
    size of x_l (our choice). Inside a module gradients are exact, so with one layer a module this
    is the paper's rule. The last module and its head are the output layer and follow their own
    loss. The other heads are trained on detached activations, as under BP.

    Every module's activations are kept until the scores are known: modules are isolated, but not
    unlocked. Nøkland, "Direct feedback alignment provides learning in deep neural networks" (2016).

    Attributes
    ----------
    seed : int
        The matrices are drawn again from it at every call, so that the rule keeps no state.
    """

    by_hand = True

    seed: int = 0

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        outs, losses = [], []
        for depth, (module, head) in enumerate(net.pairs(), start=1):
            x = module(x.detach())  # gradient isolation: nothing flows back across this line
            scores = head(x if depth == len(net) else x.detach())
            outs.append(x)
            losses.append(F.cross_entropy(scores, y))
        error = (scores.softmax(1) - onehot(y, scores.shape[1])).detach() / len(y)
        torch.autograd.backward(torch.stack(losses).sum())
        generator = torch.Generator().manual_seed(self.seed)
        for out in outs[:-1]:
            shape = (scores.shape[1], *out.shape[1:])
            feedback = torch.randn(shape, generator=generator) / out[0].numel() ** 0.5
            torch.autograd.backward(out, torch.tensordot(error, feedback.to(error), 1).to(out))
        return torch.stack(losses).detach()


def layers(modules: Iterable[nn.Module]) -> list[Layer]:
    """Return the linear and convolution layers of modules, first to last; refuse other weights."""
    found: list[Layer] = []
    for module in modules:
        for name, part in module.named_modules():
            if isinstance(part, nn.Linear) or (
                isinstance(part, nn.Conv2d)
                and not isinstance(part.padding, str)
                and part.padding_mode == "zeros"
            ):
                found.append(part)
            elif any(
                own.endswith("weight") and p.ndim > 1
                for own, p in part.named_parameters(recurse=False)
            ):
                raise ConfigError(
                    f"feedback alignment cannot replace the weight of '{name}' "
                    f"({type(part).__name__}); build the network of linear layers and of "
                    "convolutions that pad a given number of zeros."
                )
    return found


def random_weights(layers: Iterable[Layer], seed: int) -> list[Tensor]:
    """Return a normal matrix of variance 1 / fan-in for each layer, of its weight's shape."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(layer.weight.shape, generator=generator).to(layer.weight)
        / layer.weight[0].numel() ** 0.5
        for layer in layers
    ]


@contextmanager
def going_back_through(weights: Iterable[tuple[Layer, Tensor]]) -> Iterator[None]:
    """Let errors of forward passes made inside the context pass layers by the weights given."""
    with ExitStack() as stack:
        for layer, weight in weights:
            for handle in _redirect(layer, weight):
                stack.callback(handle.remove)
        yield


def _redirect(layer: Layer, weight: Tensor) -> tuple[torch.utils.hooks.RemovableHandle, ...]:
    """Cut a layer's output from its input and tie them again by the other weight."""
    inputs: list[Tensor] = []

    def cut(_: nn.Module, args: tuple[Tensor, ...]) -> Tensor:
        inputs.append(args[0])
        return args[0].detach()

    def tie(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        x = inputs.pop()
        tied: Tensor = _Tied.apply(x, out, _pullback(layer, weight, x.shape))
        return tied

    return layer.register_forward_pre_hook(cut), layer.register_forward_hook(tie)


def _pullback(layer: Layer, weight: Tensor, shape: torch.Size) -> Callable[[Tensor], Tensor]:
    """Return the map from the error at a layer's output to that at its input, of some shape."""
    if isinstance(layer, nn.Linear):
        return lambda error: error @ weight.to(error)
    form = (layer.stride, layer.padding, layer.dilation, False, [0, 0], layer.groups)

    def pull(error: Tensor) -> Tensor:
        x = error.new_empty(1).expand(shape)  # of which only the shape matters
        wanted = (True, False, False)
        found: Tensor = torch.ops.aten.convolution_backward(
            error, x, weight.to(error), None, *form, wanted
        )[0]
        return found

    return pull


class _Tied(torch.autograd.Function):
    """The second argument, with errors that also go back to the first, by the third."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, out: Tensor, pullback: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a copy: an activation may want to work in place."""
        ctx.pullback, ctx.dtype = pullback, x.dtype
        return out.clone()

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, Tensor, None]:
        """Send the error to the layer's own weights, and through the others further back."""
        (error,) = errors
        back = ctx.pullback(error).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        return back, error, None
