"""The image block."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from gemb.data.fetch import fetch
from gemb.encoders.efficientnet import BATCH, EfficientNetLite0


@pytest.fixture(scope="module")
def model() -> EfficientNetLite0:
    return EfficientNetLite0(fetch("efficientnet-lite0"))


def pixels(n: int) -> list[np.ndarray]:
    return list(np.random.default_rng(n).integers(0, 256, (n, 224, 224, 3), dtype=np.uint8))


def test_folding_does_not_change_the_network(model: EfficientNetLite0) -> None:
    plain = EfficientNet.from_name("efficientnet-lite0").eval()
    path = fetch("efficientnet-lite0") / "efficientnet-lite0-57934424.pth"
    plain.load_state_dict(torch.load(path, weights_only=True))
    images = pixels(2)
    inputs = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        expected = plain.extract_features(inputs).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(model.features(images), expected, atol=1e-4)


def test_features_of_any_number_of_images(model: EfficientNetLite0) -> None:
    assert model.features([]).shape == (0, 1280)
    assert model.features(pixels(BATCH + 1)).shape == (BATCH + 1, 1280)


def test_the_whole_image_is_seen() -> None:
    """Nothing is cropped: the left and right ends of a wide image reach the network."""
    wide = Image.new("RGB", (900, 90))
    wide.paste("red", (0, 0, 90, 90))
    wide.paste("blue", (810, 0, 900, 90))
    prepared = EfficientNetLite0.prepare(wide)
    assert prepared.shape == (224, 224, 3) and prepared.dtype == np.uint8
    assert tuple(prepared[112, 2]) == (255, 0, 0) and tuple(prepared[112, -3]) == (0, 0, 255)
