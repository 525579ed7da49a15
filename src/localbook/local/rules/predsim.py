"""The local loss "predsim": predict the label, and be similar where labels are."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.rules.losses import LocalLoss, part
from localbook.local.rules.targets import onehot

# Under the roots, whose slope is infinite at zero: SGR differentiates twice. Relative to the
# features, so that small activations are taught like large ones.
_EPSILON = 1e-6


@dataclass(frozen=True)
class PredSim(LocalLoss):
    r"""Cross-entropy of the head and mismatch of two similarity matrices.

    .. math::

        (1 - \beta)\, \ell_{\text{pred}} +
        \beta\, \frac{1}{N^2} \| S(h(x_l)) - S(\text{onehot}(y)) \|_F^2 ,

    where h is a trained linear map (3 x 3 convolution for images), the head's part ``similarity``,
    and S holds the similarities of the samples. Nøkland and Eidnes, "Training neural
    networks with local error signals" (2019). Ours is the small share of the features' own size
    under the roots, where the authors add 1e-8 to the norm.

    Attributes
    ----------
    share : float
        β, between 0 and 1.

    Raises
    ------
    ConfigError
        If the share is not between 0 and 1.
    """

    uses_image = False

    share: float = 0.99

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"the share of similarity β={self.share} must be between 0 and 1.")

    def __call__(self, head: nn.Module, out: Tensor, y: Tensor, image: Tensor) -> Tensor:
        """Return N times the mean loss; see :class:`localbook.local.rules.LocalLoss`."""
        scores = head(out)
        prediction = F.cross_entropy(scores, y, reduction="sum")
        found = similarities(part(head, "similarity")(out))
        wanted = similarities(onehot(y, scores.shape[1]).to(found.dtype))
        mismatch = len(y) * (found - wanted).square().mean()
        return (1 - self.share) * prediction + self.share * mismatch

    def parts(self, out: Tensor, image: Tensor) -> dict[str, nn.Module]:
        """Return h for outputs of shape (N, C, H, W), (N, T, C) or (N, C)."""
        if out.ndim == 4:
            return {"similarity": nn.Conv2d(out.shape[1], out.shape[1], 3, padding=1, bias=False)}
        return {"similarity": nn.Linear(out.shape[-1], out.shape[-1], bias=False)}


def similarities(features: Tensor) -> Tensor:
    """Return the adjusted cosine similarities (N, N) of features (N, C, H, W), (N, T, C) or (N, C).

    Where there are positions and more than three channels, each channel counts by its standard
    deviation over them, as in the authors' code; else every number counts.
    """
    if features.ndim == 3:
        features = features.transpose(1, 2)
    if features.ndim > 2 and features.shape[1] > 3 and features.shape[2] > 1:
        spread = features.flatten(2).var(2)  # (N, C)
        features = (spread + _EPSILON * _positive(spread.mean(1, keepdim=True))).sqrt()
    features = features.flatten(1)
    centred = features - features.mean(1, keepdim=True)
    size = features.square().sum(1, keepdim=True)
    unit = centred / (centred.square().sum(1, keepdim=True) + _EPSILON**2 * _positive(size)).sqrt()
    return unit @ unit.T


def _positive(size: Tensor) -> Tensor:
    """Return sizes with 1 in the place of 0, so that a sample of zeros has derivatives."""
    return torch.where(size > 0, size, 1.0)
