"""The state of a training run, packed: on disk to continue from, in memory to go back to."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.files import whole

# what torch.load raises depends on where the file is damaged
_UNREADABLE = (OSError, EOFError, RuntimeError, UnpicklingError, LookupError, ValueError)


@dataclass(frozen=True)
class Run:
    """What a training run changes; the moving ``average`` of the network is None if there is none.

    The ``identity`` says which run it is: a checkpoint of another one is refused.
    """

    identity: str
    net: nn.Module
    optimiser: torch.optim.Optimizer
    average: nn.Module | None

    def buffers(self) -> Iterator[Tensor]:
        """Yield the buffers of the network and of its average."""
        yield from self.net.buffers()
        if self.average is not None:
            yield from self.average.buffers()

    def packed(self, history: list[Row]) -> bytes:
        """Return the present state with the history that led to it."""
        buffer = io.BytesIO()
        torch.save(
            {
                "identity": self.identity,
                "net": self.net.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "history": history,
            },
            buffer,
        )
        return buffer.getvalue()

    def restore(self, state: bytes) -> list[Row]:
        """Go back to a packed state and return its history."""
        found = self._read(io.BytesIO(state))
        self.net.load_state_dict(found["net"])
        self.optimiser.load_state_dict(found["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(found["average"])
        history: list[Row] = found["history"]
        return history

    def resume(self, path: Path | None) -> list[Row]:
        """Continue from a checkpoint if there is one; return its history."""
        if path is None or not path.exists():
            return []
        try:
            state = path.read_bytes()
            identity = self._read(io.BytesIO(state))["identity"]
        except _UNREADABLE as error:
            raise ConfigError(
                f"the checkpoint {path} cannot be read; delete it to start over."
            ) from error
        if identity != self.identity:
            raise ConfigError(
                f"the checkpoint {path} belongs to another run ({identity}); "
                "delete it or choose another --out."
            )
        return self.restore(state)

    def _read(self, file: io.BytesIO) -> dict[str, Any]:
        device = next(self.net.parameters()).device
        state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
        return state


def load_network(path: Path, net: nn.Module) -> None:
    """Load the network of a checkpoint, whatever run it belongs to."""
    device = next(net.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)["net"]
        net.load_state_dict(state)
    except _UNREADABLE as error:
        raise ConfigError(
            f"the checkpoint {path} cannot be read, or is of another network; "
            "give the network that was trained, or delete the checkpoint."
        ) from error


def write(path: Path, state: bytes) -> None:
    """Write a packed state in one rename, so that an interruption leaves the old or the new one."""
    with whole(path) as partial:
        partial.write_bytes(state)


def identity(*parts: object) -> str:
    """Return a line that says which run it is."""
    # a function's address differs each time
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(map(str, parts)))
