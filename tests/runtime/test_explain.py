"""`explain`: its picture shows what the model is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, InputSpec, Label, ModelSpec, PreprocessSpec
from hcr_runtime.explain import explain

RED = np.full((40, 60, 3), (0, 0, 255), np.uint8)  # BGR


@dataclass
class Even:
    """An engine that knows nothing."""

    spec: ModelSpec
    name: str = "even"

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((len(batch), 2), 0.5, np.float32)


def panels(preprocess: PreprocessSpec, channels: int) -> list[NDArray[np.uint8]]:
    spec = ModelSpec(
        "demo", (Label("a", "a"), Label("b", "b")), InputSpec(16, 16, channels), preprocess
    )
    picture = explain(Classifier(Even(spec)), RED)
    assert (picture.shape[0], (picture.shape[1] - 12) % 252) == (296, 0)
    return [picture[44:284, left : left + 240] for left in range(12, picture.shape[1], 252)]


@pytest.mark.parametrize(
    "preprocess",
    [
        PreprocessSpec(fit="stretch", polarity="as-is"),
        # Normalised by channel, as networks trained on photographs are.
        PreprocessSpec(
            fit="pad", polarity="as-is", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        ),
    ],
)
def test_a_colour_model_is_shown_its_colours(preprocess: PreprocessSpec) -> None:
    image, given, _ = panels(preprocess, channels=3)
    for panel in (image, given):
        np.testing.assert_allclose(panel[120, 120], (0, 0, 255), atol=1)


def test_steps_are_those_that_the_model_takes() -> None:
    whole = panels(PreprocessSpec(fit="stretch", polarity="as-is"), channels=1)
    assert len(whole) == 4  # no ink is lifted
    assert whole[2][120, 120].tolist() == [76, 76, 76]  # red, in grey
    assert len(panels(PreprocessSpec(), channels=1)) == 6
