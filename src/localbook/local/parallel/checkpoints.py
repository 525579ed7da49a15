"""Checkpoints that each module writes for itself, and the last epoch that all of them have.

No module waits for another to write, so the first may be an epoch ahead of the last when one dies.
A run continues from the last epoch of which every module has left a checkpoint.
"""

import re
from pathlib import Path

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork
from localbook.local.training import checkpoints

_NAME = re.compile(r"epoch-(\d+)-module-(\d+)\.pt")


def path(folder: Path, epoch: int, module: int) -> Path:
    """Return where module ``module`` (from 0) keeps its state after an epoch."""
    return folder / f"epoch-{epoch:04d}-module-{module + 1}.pt"


def last_common(folder: Path, modules: int) -> int:
    """Return the last epoch of which every module has a checkpoint; 0 if there is none."""
    found: dict[int, set[int]] = {}
    for file in folder.glob("epoch-*-module-*.pt"):
        if match := _NAME.fullmatch(file.name):
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    whole = [epoch for epoch, owners in found.items() if owners >= set(range(1, modules + 1))]
    return max(whole, default=0)


def keep(folder: Path, epoch: int, module: int, modules: int, state: bytes) -> None:
    """Write a module's state after an epoch and remove its own that nobody can need again."""
    checkpoints.write(path(folder, epoch, module), state)
    common = last_common(folder, modules)
    for file in folder.glob(f"epoch-*-module-{module + 1}.pt"):
        match = _NAME.fullmatch(file.name)
        if match and int(match[1]) < common:
            file.unlink()


def assemble(net: IsolatedNetwork, folder: Path) -> int:
    """Load the last common checkpoint into a whole network; return its epoch.

    Parameters
    ----------
    net : IsolatedNetwork
        Of the form that was trained.
    folder : Path

    Raises
    ------
    ConfigError
        If there is no epoch that every module has finished, or the network is another one.
    """
    epoch = last_common(folder, len(net))
    if epoch == 0:
        raise ConfigError(
            f"{folder} has no epoch of which all {len(net)} modules left a checkpoint; "
            "train first, or give the folder and the network of the run."
        )
    for number, pair in enumerate(net.pairs()):
        part = IsolatedNetwork([pair[0]], [pair[1]])
        checkpoints.load_network(path(folder, epoch, number), part)
    return epoch
