"""What speaks against a proof: agreement with a model that reads nothing proves nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_export.labelled_images import LabelledImages
from hcr_export.statistics import wilson_interval
from hcr_runtime import ModelSpec

# Fewer images tell nothing of this.
LEAST_IMAGES = 50
# A model that answers so large a share of all images with one label, which fewer than half of them
# show, does not read.
ONE_ANSWER, SHOWN = 0.95, 0.5
# Nor one that reads so many times as many as chance would, at most, or fewer than surely more.
CHANCE = 1.5
# A model that reads fewer of the drawn images was taught others.
FEW_DRAWN = 0.5
_CHECK = "check --labels, --normalize, --polarity and --fit"


def doubts(images: LabelledImages, keras: NDArray[np.float32], spec: ModelSpec) -> tuple[str, ...]:
    """Say why the agreement of these answers would prove little; nothing where it proves.

    Args:
        images: What was read; of fewer than 50 nothing is said.
        keras: Their scores, float32 (N, classes).
        spec: The model's description.
    """
    answers, total = keras.argmax(axis=1), len(images.images)
    if total < LEAST_IMAGES:
        return ()
    commonest = int(np.bincount(answers).argmax())
    same = int((answers == commonest).sum())
    if same >= ONE_ANSWER * total:
        said = f"Keras itself answers {spec.texts[commonest]} to {same} of {total} images"
        if not images.labelled:
            return (f"{said}: if they show others too, {_CHECK}",)
        if (images.labels == commonest).sum() < SHOWN * total:
            return (f"{said}, and files that do the same agree with it: {_CHECK}",)
    if not images.labelled:
        return ()
    correct, chance = int((answers == images.labels).sum()), 1 / len(spec.labels)
    said = f"Keras itself reads {correct} of {total}"
    sure = wilson_interval(correct, total)[0] > chance
    if correct <= CHANCE * chance * total and not sure:
        return (f"{said} images, which is no more than chance: {_CHECK}",)
    if images.synthetic and correct < FEW_DRAWN * total:
        return (
            f"{said} drawn images: it was taught others, or --polarity or --fit is not as in its"
            " training",
        )
    return ()
