from __future__ import annotations

import numpy as np
import pytest

from hcr_edge.errors import RecipeError
from hcr_edge.outliers import KINDS, TRAINED, draw_outlier, draw_outliers


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_are_dark_on_bright_and_depend_on_the_seed_alone(kind: str) -> None:
    first, again = (draw_outliers((kind,), 6, seed=3) for _ in range(2))
    other = draw_outliers((kind,), 6, seed=4)
    for image, same in zip(first, again, strict=True):
        assert image.dtype == np.uint8
        assert image.shape == (image.shape[0],) * 2
        assert 48 <= image.shape[0] <= 96
        np.testing.assert_array_equal(image, same)
    assert any(a.tobytes() != b.tobytes() for a, b in zip(first, other, strict=True))
    assert len({image.tobytes() for image in first}) == 6, "no two are alike"


@pytest.mark.parametrize("kind", ["scribble", "word", "face", "shape"])
def test_something_is_drawn(kind: str) -> None:
    for image in draw_outliers((kind,), 20, seed=0):
        assert 0.005 < (image < 128).mean() < 0.9


def test_some_kinds_only_measure() -> None:
    """What training saw says little of what it did not see."""
    assert set(TRAINED) < set(KINDS)
    assert {"face", "photograph", "empty"} <= set(KINDS) - set(TRAINED)


def test_unknown_kind() -> None:
    with pytest.raises(RecipeError, match="'portrait'") as caught:
        draw_outlier("portrait", np.random.default_rng(0))
    assert "face" in caught.value.allowed
