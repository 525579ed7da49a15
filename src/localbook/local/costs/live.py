"""Memory a step needs at its worst: the bytes of all tensors alive at once, on any device."""

import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, copied
from localbook.local.rules import Rule


def live_bytes(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> int:
    """Return the most bytes of new tensors that were alive at once while a rule ran.

    Activations, errors, gradients and intermediate results count, each storage once; weights and
    the batch itself, which were there before, do not, nor does what a kernel takes for itself. That
    is nearly what a GPU's allocator gives out, and unlike saved tensors it can be counted for every
    rule. The network, its gradients and the random state are left as they were.

    Parameters
    ----------
    rule : Rule
    net : IsolatedNetwork
        Measured in the mode (train or eval) it is in.
    x : float tensor, shape (N, ...)
    y : int64 tensor, shape (N,)
    """
    net = copied(net)
    net.zero_grad(set_to_none=True)
    devices = [x.device] if x.device.type == "cuda" else []
    live = _LiveTensors([x, y, *net.state_dict().values()])
    with torch.random.fork_rng(devices), live:
        rule.gradients(net, x, y)
    return live.peak


def symbolic_bytes(
    rule: Rule,
    net: IsolatedNetwork,
    x: Tensor,
    *,
    batch: int,
    autocast: torch.dtype | None = None,
) -> int:
    """Return what :func:`live_bytes` would count on a larger batch, without computing it.

    The step runs on symbolic tensors, which have a shape but no values, so that the count for
    hundreds of images of ImageNet's size takes seconds and no memory. It is the same count.

    Parameters
    ----------
    rule : Rule
        A rule that looks at values, as to draw masks of its own or to stop, cannot be run so, nor
        one by forward over reverse through norms with weights.
    net : IsolatedNetwork
        Measured in the mode (train or eval) it is in. For a rule that recomputes, a network
        :func:`localbook.local.in_blocks`.
    x : float tensor, shape (N, ...)
        Images; only their shape matters, and not N.
    batch : int
        The number of images to count for.
    autocast : torch.dtype, optional
        Run the forward passes in this precision.

    Raises
    ------
    ConfigError
        If the rule cannot take a step so.
    """
    net = copied(net)
    net.zero_grad(set_to_none=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        made: dict[int, Tensor] = {}
        for part in net.modules():
            for held in (vars(part)["_parameters"], vars(part)["_buffers"]):
                held |= {name: _symbol(t, made) for name, t in held.items() if t is not None}
        images = torch.empty(batch, *x.shape[1:], dtype=x.dtype)
        labels = torch.zeros(batch, dtype=torch.int64)
        live = _LiveTensors([images, labels, *net.state_dict().values()])
        precision = torch.autocast("cpu", autocast, enabled=autocast is not None)
        with torch.random.fork_rng([]), live, precision:
            try:
                rule.gradients(net, images, labels)
            except (RuntimeError, AttributeError) as error:  # the second: PyTorch before 2.5
                raise ConfigError(
                    f"{type(rule).__name__} cannot take a step on symbolic tensors ({error}); "
                    "measure it by live_bytes, on images."
                ) from error
    return live.peak


def _symbol(value: Tensor, made: dict[int, Tensor]) -> Tensor:
    """Return a tensor without values in place of one, the same for the same."""
    if id(value) not in made:
        symbol = torch.empty(value.shape, dtype=value.dtype)
        if isinstance(value, nn.Parameter):
            symbol = nn.Parameter(symbol, requires_grad=value.requires_grad)
        made[id(value)] = symbol
    return made[id(value)]


class _LiveTensors(TorchDispatchMode):
    """Notes the storage of every result, until it is freed."""

    def __init__(self, ignore: list[Tensor]) -> None:
        TorchDispatchMode.__init__(self)
        self.peak = 0
        self._now = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in ignore}

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run an operation and enter its results."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._known:
            return
        size = storage.nbytes()
        self._known.add(storage._cdata)
        weakref.finalize(storage, self._leave, storage._cdata, size)
        self._now += size
        self.peak = max(self.peak, self._now)

    def _leave(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
