"""Module-parallel training: every module in a process of its own, and no update lock.

With :func:`launch` on one machine, or under ``torchrun`` on any number of them::

    with parallel.joined(modules=4) as team:
        parallel.train(team, net, rule, data, held_out, schedule, seed=0)
"""

from localbook.local.parallel.channel import Inbox, Outbox
from localbook.local.parallel.checkpoints import assemble, last_common
from localbook.local.parallel.join import DiedError, Team, joined
from localbook.local.parallel.launch import launch
from localbook.local.parallel.pipeline import Pipelined, pipelined
from localbook.local.parallel.result import Trained, Updates
from localbook.local.parallel.scaling import Scaling
from localbook.local.parallel.seat import Options, Seat
from localbook.local.parallel.train import train

__all__ = [
    "DiedError",
    "Inbox",
    "Options",
    "Outbox",
    "Pipelined",
    "Scaling",
    "Seat",
    "Team",
    "Trained",
    "Updates",
    "assemble",
    "joined",
    "last_common",
    "launch",
    "pipelined",
    "train",
]
