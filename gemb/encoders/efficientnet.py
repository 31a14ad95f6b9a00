"""EfficientNet-Lite0: what an image shows, as 1,280 pooled ImageNet features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

DIM = 1280
SIZE = 224  # pixels a side, what the weights were trained at
# (x/255 - MEAN)/SCALE is upstream's (x - 127)/128.
MEAN, SCALE = 127 / 255, 128 / 255
# Measured on 2 CPU cores: 8 at once are as fast as any, 16 and more slower.
BATCH = 8


class EfficientNetLite0:
    """Features before the classifier, mean over the 7×7 positions.

    Args:
        folder: Holds ``efficientnet-lite0-57934424.pth``.
    """

    def __init__(self, folder: Path):
        weights = torch.load(folder / "efficientnet-lite0-57934424.pth", weights_only=True)
        model = EfficientNet.from_name("efficientnet-lite0")
        model.load_state_dict(weights)
        model.requires_grad_(False).eval()
        self._model = _fold(model).to(memory_format=torch.channels_last)

    def features(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Features of images that :meth:`prepare` made, float32 ``[N, 1280]``, not normalised."""
        found = [np.empty((0, DIM), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pixels), BATCH):
                batch = torch.from_numpy(np.stack(pixels[start : start + BATCH]))
                batch = batch.permute(0, 3, 1, 2)  # [B, 3, 224, 224], channels last in memory
                batch = (batch.float() / 255 - MEAN) / SCALE
                found.append(self._model.extract_features(batch).mean(dim=(2, 3)).numpy())
        return np.concatenate(found)

    def class_scores(self, features: np.ndarray) -> np.ndarray:
        """Probability of each ImageNet-1k class, float32 ``[N, 1000]``; a row sums to one."""
        with torch.inference_mode():
            logits: torch.Tensor = self._model._fc(torch.from_numpy(features))
            return logits.softmax(-1).numpy()

    @staticmethod
    def prepare(image: Image.Image) -> np.ndarray:
        """The whole image at 224×224, uint8 ``[224, 224, 3]``.

        Resampling is bicubic and antialiased. The aspect ratio is not kept, so
        that nothing of a long word or a wide view is cropped away.
        """
        return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _fold(model: EfficientNet) -> EfficientNet:
    """Fold every batch normalisation into the convolution before it.

    The function stays the same to 1e-6 and takes half the time.
    """

    def fold(module: nn.Module, convolution: str, norm: str) -> None:
        fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
        setattr(module, convolution, fused)
        setattr(module, norm, nn.Identity())

    fold(model, "_conv_stem", "_bn0")
    for block in model._blocks:
        if hasattr(block, "_expand_conv"):
            fold(block, "_expand_conv", "_bn0")
        fold(block, "_depthwise_conv", "_bn1")
        fold(block, "_project_conv", "_bn2")
    fold(model, "_conv_head", "_bn1")
    for module in model.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return model
