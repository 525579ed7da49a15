"""What a module-parallel run tells: figures of each epoch, and when each update was made."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Row


@dataclass(frozen=True)
class Updates:
    """The updates of one module, in their order: when each began and ended, in seconds since 1970.

    Those are when its message was there, and when the weights were changed, comparable between the
    processes of one machine; on a GPU, when the work was given to it. ``used`` is the number of the
    message, counted as the sender's updates are.
    """

    begin: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    used: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Trained:
    """The result of a module-parallel run, the same in every process.

    Attributes
    ----------
    history : list of dict
        One row for each epoch, with ``epoch``, ``loss`` and ``accuracy`` (a list with one number
        for each module), ``seconds`` and ``images_per_s``.
    updates : list of Updates
        Of each module's first replica, in this run, without the epochs it found finished.
    """

    history: list[Row]
    updates: list[Updates]

    def staleness(self) -> list[NDArray[np.int64]]:
        """Return, for each module but the first, how stale the messages were that it used.

        That is how many updates the module before had made between making a message, before its
        own update on that batch, and its use. In one process it is 0, for all modules make their
        updates together.
        """
        return [
            np.searchsorted(before.end, after.begin) - np.array(after.used)
            for before, after in zip(self.updates[:-1], self.updates[1:], strict=True)
        ]


def joint(histories: Sequence[Sequence[Row]], images: int) -> list[Row]:
    """Return one history from those of the modules, first module first, with an epoch's images."""
    rows = []
    for own in zip(*histories, strict=True):
        # of the last module, which sees an epoch's end last; the first is ahead of it
        seconds = own[-1]["end"] - own[-1]["begin"]
        rows.append(
            {
                "epoch": own[0]["epoch"],
                "loss": [row["loss"] for row in own],
                "accuracy": [row["accuracy"] for row in own],
                "seconds": round(seconds, 3),
                "images_per_s": round(images / seconds, 1),
            }
        )
    return rows
