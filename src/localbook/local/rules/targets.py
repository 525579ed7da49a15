"""Soft targets: labels as shares of all classes, smoothed and mixed.

The trainer hands them to a rule in place of labels, so that no rule needs to know of them: the
cross-entropy takes either.
"""

from torch import Tensor

from localbook.errors import ConfigError


def onehot(y: Tensor, classes: int) -> Tensor:
    """Return labels (N,) as rows of shares (N, classes); soft targets are returned as they are."""
    if y.is_floating_point():
        return y
    # F.one_hot looks at the labels themselves, which a graph of operations cannot (rules.compiled).
    return y.new_zeros(len(y), classes).scatter(1, y[:, None], 1)


def smoothed(y: Tensor, classes: int, smoothing: float) -> Tensor:
    """Return soft targets (N, classes): ``smoothing`` of each is spread over all classes.

    Szegedy et al., "Rethinking the inception architecture for computer vision" (2016), section 7.
    """
    return (1 - smoothing) * onehot(y, classes).float() + smoothing / classes


def mixed(x: Tensor, targets: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Mix images and soft targets (N, classes) with those at the mirrored place of the batch.

    The share is the part that stays. Batches are shuffled, so that place is as good as a random
    one.
    """
    return share * x + (1 - share) * x.flip(0), share * targets + (1 - share) * targets.flip(0)


def one_label(y: Tensor, rule: str) -> None:
    """Refuse soft targets for a rule that gives each image one class."""
    if y.is_floating_point():
        raise ConfigError(
            f"{rule} needs one class for each image; train it without label smoothing and mixup."
        )
