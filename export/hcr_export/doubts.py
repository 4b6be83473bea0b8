"""What speaks against a proof: agreement with a model that reads nothing proves nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_export.labelled_images import LabelledImages
from hcr_export.statistics import wilson_interval
from hcr_runtime import ModelSpec

# A model that answers so large a share of all images with one label does not read.
ONE_ANSWER = 0.95
# A model that reads fewer of the drawn images was taught others.
FEW_DRAWN = 0.5
_CHECK = "check --labels, --normalize, --polarity and --fit"


def doubts(images: LabelledImages, keras: NDArray[np.float32], spec: ModelSpec) -> tuple[str, ...]:
    """Say why the agreement of these answers would prove little; nothing where it proves.

    Args:
        images: What was read.
        keras: Their scores, float32 (N, classes).
        spec: The model's description.
    """
    answers, total = keras.argmax(axis=1), len(images.images)
    found = []
    commonest = int(np.bincount(answers, minlength=1).argmax())
    same = int((answers == commonest).sum())
    shown = int((images.labels == commonest).sum()) if images.labelled else 0
    if total > 1 and same >= ONE_ANSWER * total > shown:
        found.append(
            f"Keras itself answers {spec.texts[commonest]} to {same} of {total} images, and files"
            f" that do the same agree with it: {_CHECK}"
        )
    elif images.labelled:
        correct = int((answers == images.labels).sum())
        if wilson_interval(correct, total)[0] <= 1 / len(spec.labels):
            found.append(
                f"Keras itself reads {correct} of {total} images, which is no more than chance:"
                f" {_CHECK}"
            )
        elif images.synthetic and correct < FEW_DRAWN * total:
            found.append(
                f"Keras itself reads {correct} of {total} drawn images: it was taught others, or"
                " --polarity or --fit is not as in its training"
            )
    return tuple(found)
