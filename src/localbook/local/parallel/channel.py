"""Messages that flow forward only: bounded queues between the processes of two modules.

A receiver asks for a few messages ahead; that is the queue. A sender has one message on its way.
When the queue is full the next send waits: back-pressure, without a word coming back.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from localbook.local.rules import Signal
from localbook.local.training import LostError

Form = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""The fields of a message, each with its shape and type."""


def fields(signal: Signal, *, image: bool) -> dict[str, Tensor]:
    """Return what has to be sent of a signal."""
    found = {"x": signal.x, "y": signal.y}
    if image:
        found["image"] = signal.image
    found |= {n: t for n in ("delta", "scores") if (t := getattr(signal, n)) is not None}
    return {name: tensor.detach().contiguous() for name, tensor in found.items()}


def form_of(message: Mapping[str, Tensor]) -> Form:
    """Return the form of a message."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in message.items()}


def signal_of(message: Mapping[str, Tensor]) -> Signal:
    """Return a received signal; without an image in the message, its image is empty."""
    x = message["x"]
    image = message.get("image", x.new_empty(len(x), 0))
    return Signal(x, message["y"], image, message.get("delta"), message.get("scores"))


@dataclass(frozen=True)
class _OnItsWay:
    message: dict[str, Tensor]
    works: list[dist.Work]

    def wait(self, peer: int) -> dict[str, Tensor]:
        try:
            for work in self.works:
                work.wait()
        except RuntimeError as error:
            raise LostError(peer) from error
        return self.message


class Inbox:
    """Receives messages from a rank, whose forms are known beforehand, in their order.

    ``ahead`` of them are asked for before they are used: the length of the queue.
    """

    def __init__(
        self, source: int, forms: Iterator[Form], ahead: int, device: torch.device
    ) -> None:
        self._source, self._forms, self._device = source, forms, device
        self._queue: deque[_OnItsWay] = deque()
        for _ in range(ahead):
            self._ask()

    def take(self) -> Signal:
        """Wait for the next message and return it."""
        message = self._queue.popleft().wait(self._source)
        self._ask()
        return signal_of(message)

    def _ask(self) -> None:
        form = next(self._forms, None)
        if form is None:
            return
        message = {
            name: torch.empty(shape, dtype=dtype, device=self._device)
            for name, (shape, dtype) in form.items()
        }
        self._queue.append(_OnItsWay(message, _posted(dist.irecv, message, self._source)))


class Outbox:
    """Sends messages to a rank, and waits only while the receiver's queue is full."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._last: _OnItsWay | None = None

    def send(self, message: dict[str, Tensor]) -> None:
        """Put a message on its way; its tensors must not be changed any more."""
        self.flush()
        self._last = _OnItsWay(message, _posted(dist.isend, message, self._target))

    def flush(self) -> None:
        """Wait until everything has been received."""
        if self._last is not None:
            self._last.wait(self._target)
            self._last = None


def _posted(
    call: Callable[..., dist.Work | None], message: Mapping[str, Tensor], peer: int
) -> list[dist.Work]:
    try:
        works = [call(t, peer, tag=tag) for tag, t in enumerate(message.values())]
    except RuntimeError as error:
        raise LostError(peer) from error
    return [work for work in works if work is not None]
