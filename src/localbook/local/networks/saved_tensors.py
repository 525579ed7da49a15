"""The ledger of what autograd keeps for backward."""

import weakref
from collections import Counter
from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class SavedTensors:
    """A ledger of the storages that autograd keeps for backward, each with an owner.

    A saved tensor that was changed in place since is refused as by autograd itself, which leaves
    this to the hooks. An *output* that was changed, such as tanh's, the hooks cannot tell: run such
    a model once without them.

    Parameters
    ----------
    ignore : iterable of Tensor
        Tensors whose storages never count.

    Attributes
    ----------
    owner : int
        Who is charged for what is saved from now on; the caller sets it.
    peak : int
        The most bytes held at once.
    peak_of : Counter
        The most bytes held at once for each owner.
    course : list of int
        The bytes held at the start and after each change.
    """

    def __init__(self, ignore: Iterable[Tensor]) -> None:
        self.owner = 0
        self.peak = 0
        self.peak_of: Counter[int] = Counter()
        self.course = [0]
        self._now = 0
        self._now_of: Counter[int] = Counter()
        self._ignored = {_address(tensor) for tensor in ignore}
        self._uses: Counter[int] = Counter()
        self._owner_of: dict[int, int] = {}

    def hooks(self) -> saved_tensors_hooks:
        """Return the context in which saved tensors are entered here."""
        return saved_tensors_hooks(self._pack, _Kept.unpacked)

    def _pack(self, tensor: Tensor) -> "_Kept":
        kept = _Kept(tensor)
        storage = _address(tensor)
        if storage not in self._ignored:
            if not self._uses[storage]:
                self._owner_of[storage] = self.owner
                self._change(self.owner, tensor.untyped_storage().nbytes())
            self._uses[storage] += 1
            # The tensor is kept alive by `kept` alone, so its storage's address is not reused
            # before the entry is closed.
            weakref.finalize(kept, self._drop, storage, tensor.untyped_storage().nbytes())
        return kept

    def _drop(self, storage: int, size: int) -> None:
        self._uses[storage] -= 1
        if not self._uses[storage]:
            self._change(self._owner_of[storage], -size)

    def _change(self, owner: int, size: int) -> None:
        self._now += size
        self.course.append(self._now)
        self._now_of[owner] += size
        self.peak = max(self.peak, self._now)
        self.peak_of[owner] = max(self.peak_of[owner], self._now_of[owner])


class _Kept:
    """What autograd holds in place of a saved tensor; it dies when autograd drops it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # an output's graph would hold this, and this the graph
        self._version = tensor._version

    def unpacked(self) -> Tensor:
        if self.tensor._version != self._version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: a {self.tensor.dtype} of shape {tuple(self.tensor.shape)}."
            )
        return self.tensor


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
