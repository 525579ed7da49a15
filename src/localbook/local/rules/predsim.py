"""The local loss "predsim": predict the label, and be similar where labels are."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.rules.losses import LocalLoss, part
from localbook.local.rules.targets import onehot

_EPSILON = 1e-5  # under the roots, whose slope is infinite at zero: SGR differentiates twice


@dataclass(frozen=True)
class PredSim(LocalLoss):
    r"""Cross-entropy of the head and mismatch of two similarity matrices.

    .. math::

        (1 - \beta)\, \ell_{\text{pred}} +
        \beta\, \frac{1}{N^2} \| S(h(x_l)) - S(\text{onehot}(y)) \|_F^2 ,

    where h is a trained linear map (3 x 3 convolution for images), the head's part ``similarity``,
    and S holds the similarities of the samples. Nøkland and Eidnes, "Training neural
    networks with local error signals" (2019); the small constant under its roots is ours.

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
    """Return the adjusted cosine similarities of the samples, shape (N, N).

    Parameters
    ----------
    features : float tensor, shape (N, C, H, W), (N, T, C) or (N, C)
        Where there are positions, each channel counts by its standard deviation over them.
    """
    if features.ndim > 2:
        places = features.flatten(2) if features.ndim == 4 else features.transpose(1, 2)
        single = places.shape[2] == 1  # then there is nothing to deviate from
        features = places[:, :, 0] if single else (places.var(2) + _EPSILON).sqrt()  # (N, C)
    centred = features - features.mean(1, keepdim=True)
    unit = centred / (centred.square().sum(1, keepdim=True) + _EPSILON).sqrt()
    return unit @ unit.T
