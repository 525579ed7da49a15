"""Networks get their heads: modules that have none, or a network that is to have others."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating, seeded
from localbook.local.networks.heads import check_labels, make_head
from localbook.local.networks.isolated import IsolatedNetwork

MakeHead = Callable[[Tensor, int], nn.Module]


def add_heads(
    modules: Sequence[nn.Module],
    head: str | MakeHead,
    example: Tensor,
    labels: Tensor,
    *,
    seed: int,
    channel_axis: int | None = None,
) -> IsolatedNetwork:
    """Give each module but the last a head of its own; the last one ends with a classifier already.

    Parameters
    ----------
    modules : sequence of nn.Module
        For instance those of :func:`localbook.local.networks.split.split`.
    head : str or callable
        A key of :data:`HEADS`, or a function from an example of features and the number of classes
        to a new head.
    example : float tensor, shape (N, ...)
    labels : int64 tensor, shape (M,)
        Those to be trained on; only their range matters.
    seed : int
        Module l's head is drawn from ``seed + l``.
    channel_axis : int, optional
        As in :func:`make_head`.

    Raises
    ------
    ConfigError
        If the last module does not give class scores, or fewer of them than the labels need.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> last = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8 * 6 * 6, 10))
    >>> stages = [torch.nn.Conv2d(1, 8, 3), last]
    >>> x, y = torch.zeros(4, 1, 8, 8), torch.arange(4)
    >>> net = local.add_heads(stages, "linear", x, y, seed=0)
    >>> len(net.heads)
    2
    """
    outputs = []
    with evaluating(*modules), torch.no_grad():
        for module in modules:
            example = module(example)
            outputs.append(example)
    if outputs[-1].ndim != 2:
        raise ConfigError(
            f"the last module returns shape {tuple(outputs[-1].shape)}, not class scores (N, "
            "classes); end the model with its classifier."
        )
    classes = outputs[-1].shape[1]
    check_labels(labels, classes)
    heads = [
        _made(head, out, classes, seed + number, channel_axis)
        for number, out in enumerate(outputs[:-1], start=1)
    ]
    return IsolatedNetwork(modules, [*heads, nn.Identity()])


def with_heads(
    net: IsolatedNetwork,
    head: str | MakeHead,
    example: Tensor,
    *,
    seed: int,
    shared: bool = False,
    classes: int | None = None,
) -> IsolatedNetwork:
    """Return a network with the same modules and other heads, that of the last module included.

    Parameters
    ----------
    net : IsolatedNetwork
    head : str or callable
        As in :func:`add_heads`: ``"random"``, ``"orthogonal"`` and ``"simplex_etf"`` are fixed.
    example : float tensor, shape (N, ...)
        Images; only their shape matters.
    seed : int
        Module l's head is drawn from ``seed + l``, a shared one from ``seed + 1``.
    shared : bool
        One head for all modules, whose outputs then have to be alike.
    classes : int, optional
        As many as the network's own head has, if not given.

    Raises
    ------
    ConfigError
        If a head does not fit a module's output.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> net = local.ConvNet((8, 8), (1, 2)).build(in_channels=1, classes=4, seed=0)
    >>> fixed = local.with_heads(net, "random", torch.zeros(2, 1, 8, 8), seed=0, shared=True)
    >>> fixed.heads[0] is fixed.heads[1]
    True
    """
    heads: list[nn.Module] = []
    with evaluating(net), torch.no_grad():
        classes = classes or net(example).shape[1]
        for number, module in enumerate(net.local_modules, start=1):
            example = module(example)
            one = heads[0] if shared and heads else _made(head, example, classes, seed + number)
            try:
                one(example)
            except RuntimeError as error:
                raise ConfigError(
                    f"the head does not fit the output of module {number}, of shape "
                    f"{tuple(example.shape)}; a shared head needs modules of one width."
                ) from error
            heads.append(one)
    return IsolatedNetwork(list(net.local_modules), heads)


def _made(
    head: str | MakeHead, features: Tensor, classes: int, seed: int, axis: int | None = None
) -> nn.Module:
    if isinstance(head, str):
        return make_head(head, features, classes, seed=seed, channel_axis=axis)
    with seeded(seed):
        return head(features, classes).to(features)
