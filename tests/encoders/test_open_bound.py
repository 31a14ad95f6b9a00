"""One space for images, sounds and texts: the right names, one vector each, failures in place."""

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.signal import chirp

from gemb import encoders
from gemb.data.items import Item, Media
from gemb.data.media import RATE, encode_png, encode_wav
from gemb.encoders import Failure
from gemb.encoders.open_bound import OpenBound, named
from gemb.errors import UnknownName, UserError


def a_text(text):
    return Item(f"test/{text}", "text", Media.from_text(text), "")


def a_sound(samples, name="sound"):
    data = encode_wav(samples.astype(np.float32))
    return Item(f"test/{name}", "audio", Media(lambda: data, "wav"), "")


def an_image(pixels, name="image"):
    from PIL import Image

    data = encode_png(Image.fromarray(pixels))
    return Item(f"test/{name}", "image", Media(lambda: data, "png"), "")


@pytest.fixture(scope="module")
def encoder():
    return encoders.load("open-bound:posteriors")


def test_names_are_weighted_by_their_probability():
    names = np.eye(4, dtype=np.float32)
    scores = np.array([0.3, 0.0, 0.4, 0.3])
    vector = named(scores, names, top=2)
    np.testing.assert_allclose(vector, np.array([0.3, 0, 0.4, 0]) / 0.5)
    assert np.linalg.norm(named(scores, names, top=4)) == pytest.approx(1)


def test_every_class_has_a_name(encoder):
    assert encoder.image_names.shape == (1000, 384) and encoder.sound_names.shape == (521, 384)
    # the second class of ImageNet's order is the goldfish
    fish = encoder.encode([a_text("goldfish")])[0][0]
    assert int(np.argmax(encoder.image_names @ fish)) == 1


def test_images_sounds_and_texts_lie_in_one_space_and_failures_in_their_place(encoder):
    time = np.arange(RATE) / RATE
    whistle = a_sound(chirp(time, 2500, 1, 4000) * 0.5, "whistle")
    grey = an_image(np.full((32, 32, 3), 128, np.uint8))
    broken = Item("test/broken", "image", Media(lambda: b"no image", "png"), "")
    found = encoder.encode([a_text("a bird sings"), broken, whistle, grey])
    assert isinstance(found[1], Failure) and found[1].item_id == "test/broken"
    for vector in (found[0], found[2], found[3]):
        assert vector.shape == (1, 384) and vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    again = encoder.encode([whistle])[0]
    np.testing.assert_allclose(again, found[2], atol=1e-5)


def test_a_sound_that_rises_is_nearer_to_whistling_than_to_a_truck(encoder):
    time = np.arange(2 * RATE) / RATE
    sound = encoder.encode([a_sound(chirp(time, 1000, 2, 3000) * 0.5)])[0][0]
    near, far = (encoder.encode([a_text(t)])[0][0] for t in ("whistling", "truck"))
    assert sound @ near > sound @ far


def test_trained_heads_move_the_vectors_and_are_part_of_the_identity(tmp_path, encoder):
    rng = np.random.default_rng(0)
    heads = tmp_path / "heads.safetensors"
    shapes = {"image": (1280, 384), "sound": (1440, 384)}
    save_file({k: np.zeros(s, np.float16) for k, s in shapes.items()}, heads)
    grey = an_image(np.full((32, 32, 3), 128, np.uint8))
    still = OpenBound("trained", heads)
    np.testing.assert_allclose(still.encode([grey])[0], encoder.encode([grey])[0], atol=1e-5)
    before = still.identity()
    save_file({k: rng.normal(size=s).astype(np.float16) for k, s in shapes.items()}, heads)
    moved = OpenBound("trained", heads)
    assert np.abs(moved.encode([grey])[0] - encoder.encode([grey])[0]).max() > 0.01
    assert len({before, moved.identity(), encoder.identity()}) == 3


def test_another_variant_or_view_is_refused(encoder, tmp_path):
    with pytest.raises(UnknownName, match="posteriors, trained"):
        encoders.load("open-bound:best")
    with pytest.raises(UserError, match="not released yet: use open-bound:posteriors"):
        OpenBound("trained", tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="there is: whole"):
        encoder.identity("frames")
