"""The whole image as the network's input: what a notebook does, a device does too."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from hcr_runtime import InputSpec, Label, ModelSpec, PreprocessSpec, SpecError, preprocess
from hcr_runtime.preprocess import prepare

RNG = np.random.default_rng(0)
LABELS = (Label("a", "a"), Label("b", "b"))


def spec(height: int = 28, width: int = 28, channels: int = 1, **params: Any) -> ModelSpec:
    params = {"fit": "stretch", "polarity": "as-is", **params}
    return ModelSpec("m", LABELS, InputSpec(height, width, channels), PreprocessSpec(**params))


def stroke(dark: bool, shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    image = np.full(shape, 10, np.uint8)
    image[shape[0] // 4 : shape[0] // 2, shape[1] // 2 : shape[1] // 2 + 3] = 240
    return 255 - image if dark else image


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (0.0, 1.0, lambda x: x / 255),
        (0.5, 0.5, lambda x: x / 127.5 - 1),
        (0.0, 1 / 255, lambda x: x),
        (0.1307, 0.3081, lambda x: (x / 255 - 0.1307) / 0.3081),
    ],
)
def test_pixels_of_the_right_size_are_only_scaled(mean: float, std: float, expected: Any) -> None:
    image = RNG.integers(0, 256, (28, 28), np.uint8)
    encoded = bytes(cv2.imencode(".png", image)[1])
    tensor = preprocess(encoded, spec(mean=mean, std=std))
    assert (tensor.dtype, tensor.shape) == (np.float32, (28, 28, 1))
    np.testing.assert_allclose(
        tensor[:, :, 0], expected(image.astype(np.float64)), rtol=1e-5, atol=1e-6
    )


def test_colours_come_as_red_green_blue() -> None:
    red = np.zeros((28, 28, 3), np.uint8)
    red[:, :, 2] = 255  # OpenCV's order is blue, green, red
    tensor = preprocess(bytes(cv2.imencode(".png", red)[1]), spec(channels=3))
    assert tensor.shape == (28, 28, 3)
    assert tensor[0, 0].tolist() == [1.0, 0.0, 0.0]


def test_transparent_pixels_are_white_in_colour_too() -> None:
    glass = np.zeros((28, 28, 4), np.uint8)
    assert preprocess(glass, spec(channels=3)).min() == 1.0


def test_stretching_fills_the_frame_whatever_the_proportions() -> None:
    image = RNG.integers(0, 256, (60, 20), np.uint8)
    tensor = preprocess(image, spec(32, 48)) * 255
    assert tensor.shape == (32, 48, 1)
    assert abs(float(tensor.mean()) - float(image.mean())) < 5


def test_padding_keeps_the_proportions_and_continues_the_paper() -> None:
    image = np.full((40, 20), 200, np.uint8)
    image[10:30, 8:12] = 0
    tensor = np.rint(preprocess(image, spec(28, 28, fit="pad")) * 255)[:, :, 0]
    assert set(tensor[:, :7].ravel()) == set(tensor[:, 21:].ravel()) == {200.0}
    ink = np.argwhere(tensor < 100)
    height, width = np.ptp(ink, axis=0) + 1
    assert 12 <= height <= 16
    assert 2 <= width <= 4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["stretch", "pad", "center"])
@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_ink_has_the_polarity_that_the_network_knows(
    polarity: str, fit: str, channels: int
) -> None:
    for dark in (True, False):
        tensor = preprocess(stroke(dark), spec(channels=channels, fit=fit, polarity=polarity))
        assert tensor.shape == (28, 28, channels)
        # Most of an image is paper.
        assert (np.median(tensor) < 0.1) == (polarity == "bright")
        assert (tensor.max() if polarity == "bright" else 1 - tensor.min()) > 0.9


def test_as_is_leaves_the_polarity_alone() -> None:
    for dark in (True, False):
        image = stroke(dark)
        np.testing.assert_allclose(preprocess(image, spec())[:, :, 0] * 255, image, atol=1e-4)


@pytest.mark.parametrize(
    ("interpolation", "expected"), [("area", 127.5), ("nearest", 0.0), ("bilinear", 127.5)]
)
def test_interpolations_differ_where_they_should(interpolation: str, expected: float) -> None:
    columns = np.tile(np.array([255, 0], np.uint8), (56, 28))
    tensor = preprocess(columns, spec(interpolation=interpolation)) * 255
    np.testing.assert_allclose(tensor, expected, atol=1)


def test_enlarging_by_area_is_smooth() -> None:
    image = RNG.integers(0, 256, (14, 14), np.uint8)
    area, bilinear = (preprocess(image, spec(interpolation=i)) for i in ("area", "bilinear"))
    np.testing.assert_array_equal(area, bilinear)


def test_uniform_image_stays_uniform() -> None:
    tensor = preprocess(np.full((50, 50), 255, np.uint8), spec(polarity="bright"))
    assert tensor.max() == tensor.min()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"fit": "crop"}, "preprocess.fit is crop"),
        ({"polarity": "red"}, "preprocess.polarity is red"),
        ({"fit": "center"}, "preprocess.polarity is as-is"),
        ({"fit": "center", "polarity": "bright", "width": 32}, "input.width is 32"),
        ({"interpolation": "lanczos"}, "preprocess.interpolation is lanczos"),
        ({"mean": (0.1, 0.2, 0.3)}, "one number, or one for each channel"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        spec(**params)


def test_levels_by_channel_survive_json() -> None:
    levels = spec(channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    assert ModelSpec.from_json(levels.to_json()) == levels


def test_a_description_without_the_new_fields_means_what_it_meant() -> None:
    data = ModelSpec("m", LABELS).to_dict()
    for field in ("fit", "polarity", "interpolation"):
        del data["preprocess"][field]
    old = ModelSpec.from_dict(data)
    assert (old.preprocess.fit, old.preprocess.polarity) == ("center", "bright")


def test_a_small_glyph_in_a_whole_image_is_not_too_small() -> None:
    """The rule for a glyph's size is of glyphs that are placed; here the network sees the frame."""
    tiny = np.full((28, 28), 255, np.uint8)
    tiny[12:16, 12:16] = 0
    whole, placed = (
        prepare(tiny, spec())[1],
        prepare(tiny, spec(fit="center", polarity="bright"))[1],
    )
    assert (whole.longer, whole.sides) == (28, 0)
    assert placed.longer == 4
    assert prepare(np.full((28, 28), 200, np.uint8), spec())[1].longer == 0
