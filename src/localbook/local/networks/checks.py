"""What is refused before training starts, one sentence each."""

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks.isolated import IsolatedNetwork
from localbook.local.networks.replay import evaluating


def check_inputs(x: Tensor) -> None:
    """Refuse inputs that hold NaN or infinity.

    Raises
    ------
    ConfigError
    """
    if not bool(torch.isfinite(x).all()):
        raise ConfigError(
            "the inputs hold numbers that are NaN or infinite; "
            "mend or remove them, and check the statistics they were normalised with."
        )


def check_trainable(net: IsolatedNetwork) -> None:
    """Refuse a network with a module that cannot learn.

    Raises
    ------
    ConfigError
        If a module is frozen, or nothing in it and its head can be trained.
    """
    for number, (module, head) in enumerate(net.pairs(), start=1):
        own = [parameter.requires_grad for parameter in module.parameters()]
        if own and not any(own):
            raise ConfigError(
                f"module {number} is frozen: none of its parameters requires grad; "
                "unfreeze it or make it part of a neighbour."
            )
        if not own and not any(parameter.requires_grad for parameter in head.parameters()):
            raise ConfigError(
                f"module {number} has no parameter that requires grad, nor has its head; "
                "make it part of a neighbour."
            )


def check_heads(net: IsolatedNetwork, x: Tensor, labels: Tensor, *, soft: bool) -> int:
    """Return the number of classes; refuse heads that do not fit the labels.

    Parameters
    ----------
    net : IsolatedNetwork
    x : float tensor, shape (N, ...)
        A few images.
    labels : int64 tensor, shape (M,)
    soft : bool
        Whether targets will be shares of all classes, for which every head needs as many.

    Raises
    ------
    ConfigError
    """
    classes: list[int] = []
    with torch.no_grad(), evaluating(net):
        for number, (module, head) in enumerate(net.pairs(), start=1):
            try:
                out = module(x)
                classes.append(head(out).shape[1])
            except (RuntimeError, ValueError, IndexError) as error:
                reason = str(error).split("\n")[0].rstrip(".")
                raise ConfigError(
                    f"module {number} or its head cannot take what it is given, a batch of shape "
                    f"{tuple(x.shape)} and type {x.dtype} ({reason}); "
                    "build the network for such images."
                ) from error
            x = out
    needed = int(labels.max()) + 1
    for number, found in enumerate(classes, start=1):
        if found < needed:
            raise ConfigError(
                f"head {number} has {found} classes but the labels need {needed}; "
                "build the head with as many classes as the data has."
            )
    if soft and len(set(classes)) > 1:
        raise ConfigError(
            f"the heads have different numbers of classes ({', '.join(map(str, classes))}); "
            "label smoothing and mixup need the same for all."
        )
    return classes[-1]


def has_batch_norm(net: nn.Module) -> bool:
    """Say whether a network normalises by the batch in its present mode."""
    return any(
        part.training and isinstance(part, nn.modules.batchnorm._BatchNorm)
        for part in net.modules()
    )


def check_batch_norm(net: IsolatedNetwork, samples: int) -> None:
    """Refuse a batch of one sample where there is BatchNorm.

    Raises
    ------
    ConfigError
    """
    if samples == 1 and has_batch_norm(net):
        raise ConfigError(
            "BatchNorm cannot be trained on a batch of one sample; give two or more at a time."
        )
