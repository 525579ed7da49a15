"""What is refused before training starts, one sentence each."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks.isolated import IsolatedNetwork


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
        If a module is frozen, nothing in it and its head can be trained, or there are no modules.
    """
    if not isinstance(net, IsolatedNetwork):
        raise ConfigError(
            f"the network is a {type(net).__name__}; make an IsolatedNetwork of it, by split and "
            "add_heads."
        )
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
            if len(out) != len(x):
                raise ConfigError(
                    f"module {number} returns an output of length {len(out)} for {len(x)} samples; "
                    "a module must keep the samples of a batch, one output for each."
                )
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


def check_batch(net: IsolatedNetwork, x: Tensor, y: Tensor) -> None:
    """Refuse a batch whose images, labels and network do not fit each other.

    Parameters
    ----------
    net : IsolatedNetwork
    x : float tensor, shape (N, ...)
    y : int64 tensor, shape (N,), or float tensor, shape (N, classes)

    Raises
    ------
    ConfigError
    """
    soft = y.ndim == 2 and y.is_floating_point()
    if not soft and (y.dtype != torch.int64 or y.ndim != 1):
        raise ConfigError(
            f"labels must be int64 of shape (N,), or shares of all classes as floats of shape "
            f"(N, classes), not {y.dtype} of shape {tuple(y.shape)}; whole numbers become labels "
            "by y.long().flatten()."
        )
    if len(x) != len(y):
        raise ConfigError(f"{len(y)} labels for {len(x)} images; give one for each image.")
    labels = torch.arange(y.shape[1]) if soft else y
    check_heads(net, x[:2], labels, soft=soft)


@contextmanager
def explained(net: IsolatedNetwork, x: Tensor, y: Tensor) -> Iterator[None]:
    """Say in one sentence why a step on a batch failed, where it is that they do not fit.

    A step that succeeds pays nothing: labels are looked at only after an error.

    Raises
    ------
    ConfigError
        From torch's error, if :func:`check_batch` finds a reason; else torch's own.
    """
    try:
        yield
    except (RuntimeError, ValueError, IndexError) as error:
        # symbolic tensors have no values to look at
        if not isinstance(error, ConfigError) and type(x) is type(y) is Tensor:
            check_batch(net, x, y)
        raise


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
