"""The local loss of InfoPro: keep the information, above all that about the label."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.rules.losses import LocalLoss, part
from localbook.local.rules.targets import one_label

_WIDTH = 12  # channels inside the decoder
_PROJECTION = 128  # numbers the contrast compares


@dataclass(frozen=True)
class InfoPro(LocalLoss):
    """Reconstruction of the image from the module's output, plus cross-entropy or contrast.

    A decoder, the head's part ``decoder``, bounds from below how much the output knows of the
    image. With contrast, outputs of the same class attract each other in a projection, the part
    ``projection``; the classifier is then trained on detached features, as a probe.

    Wang et al., "Revisiting locally supervised learning: an alternative to end-to-end training"
    (2021), whose code the decoder, the projection and the contrast follow. Ours are the squared
    error of the image as the network gets it, where the code has a sigmoid and the binary
    cross-entropy of pixels between 0 and 1, with gradients that are about eight times smaller at
    the start; linear maps where outputs have no positions; and one weight for all modules.

    Attributes
    ----------
    weight : float
        Of the reconstruction's squared error, averaged over pixels.
    contrast : bool
        Whether contrast takes the place of cross-entropy.
    temperature : float
        Of the contrast.

    Raises
    ------
    ConfigError
        If the weight is negative or the temperature not positive.
    """

    weight: float = 1.0
    contrast: bool = False
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf or not 0 < self.temperature < math.inf:
            raise ConfigError(
                f"InfoPro's weight {self.weight} must be zero or larger and its temperature "
                f"{self.temperature} positive."
            )

    def __call__(self, head: nn.Module, out: Tensor, y: Tensor, image: Tensor) -> Tensor:
        """Return N times the mean loss; see :class:`localbook.local.rules.LocalLoss`."""
        error = (part(head, "decoder")(out) - image).square().flatten(1).mean(1).sum()
        task = F.cross_entropy(head(out.detach() if self.contrast else out), y, reduction="sum")
        if self.contrast:
            one_label(y, "InfoPro with contrast")
            projected = part(head, "projection")(out)
            task = task + len(y) * class_contrast(projected, y, self.temperature)
        total: Tensor = self.weight * error + task
        return total

    def parts(self, out: Tensor, image: Tensor) -> dict[str, nn.Module]:
        """Return a decoder and, for contrast, a projection.

        Raises
        ------
        ConfigError
            If the output is not of shape (N, C, H, W) or (N, C).
        """
        if out.ndim not in (2, 4):
            raise ConfigError(
                f"InfoPro decodes outputs of shape (N, C, H, W) or (N, C), not {tuple(out.shape)}; "
                "take PredSim for tokens."
            )
        parts = {"decoder": _decoder(out, image)}
        if self.contrast:
            parts["projection"] = _projection(out)
        return parts


def class_contrast(projected: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Return the mean over i of the mean over the others j of its class of -log p_i(j), shape ().

    p_i(j) is the softmax, over all j ≠ i, of the cosines of i with them over the temperature, of
    ``projected`` (N, D). Only samples i that have such a j count; without any the loss is 0. Khosla
    et al., "Supervised contrastive learning" (2020), equation 2.
    """
    unit = F.normalize(projected, dim=1)
    itself = torch.eye(len(y), dtype=torch.bool, device=y.device)
    # A finite number, for 0 times infinity would spoil the sum over the pairs.
    scores = (unit @ unit.T / temperature).masked_fill(itself, -1e9)
    pairs = (y[:, None] == y) & ~itself
    others = pairs.sum(1)  # (N,)
    each = -(scores.log_softmax(1) * pairs).sum(1) / others.clamp(min=1)
    return each.sum() / (others > 0).sum().clamp(min=1)


def _decoder(out: Tensor, image: Tensor) -> nn.Module:
    if out.ndim == 2:
        size = image.shape[1:]
        return nn.Sequential(nn.Linear(out.shape[1], size.numel()), nn.Unflatten(1, size))
    return nn.Sequential(
        nn.Upsample(tuple(image.shape[2:]), mode="bilinear", align_corners=True),
        nn.Conv2d(out.shape[1], _WIDTH, 3, padding=1, bias=False),
        nn.BatchNorm2d(_WIDTH),
        nn.ReLU(),
        nn.Conv2d(_WIDTH, image.shape[1], 3, padding=1),
    )


def _projection(out: Tensor) -> nn.Module:
    channels, layers = out.shape[1], list[nn.Module]()
    if out.ndim == 4:
        wide = 2 * channels
        layers = [
            nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ]
        channels = wide
    perceptron = [nn.Linear(channels, _PROJECTION), nn.ReLU(), nn.Linear(_PROJECTION, _PROJECTION)]
    return nn.Sequential(*layers, *perceptron)
