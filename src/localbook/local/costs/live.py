"""Memory a step needs at its worst: the bytes of all tensors alive at once, on any device."""

import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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
