"""Images on which models are measured, with what each shows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_export.artifacts import Limits


@dataclass(frozen=True)
class LabelledImages:
    """Images to measure on.

    Attributes:
        description: Which images these are, for the report.
        images: The bytes of image files.
        labels: int64 of shape (N,): index of each image's class; -1 where nobody knows it.
        synthetic: True when no person wrote them.
        skipped: Classes that the model does not have, and how many images each holds.
        writers: int64 of shape (N,): who wrote each, -1 where unknown; or None.
    """

    description: str
    images: Sequence[bytes]
    labels: NDArray[np.int64]
    synthetic: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    writers: NDArray[np.int64] | None = None

    @property
    def labelled(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels >= 0).all())

    def expected(self, keras: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return what counts as right, int64 (N,): the labels, or else what Keras answers.

        Args:
            keras: float32 (N, classes), its scores.
        """
        return self.labels if self.labelled else keras.argmax(axis=1)

    def fair(self, limits: Limits) -> Limits:
        """Return the limits that these images can judge: without labels no accuracy is lost."""
        return limits if self.labelled else replace(limits, max_drop=100.0)

    def to_dict(self) -> dict[str, Any]:
        """Say as plain JSON types which images these are; ``sha256`` is of all and their labels."""
        digest = hashlib.sha256(self.labels.astype("<i8").tobytes())
        for image in self.images:
            digest.update(hashlib.sha256(image).digest())
        return {
            "description": self.description,
            "synthetic": self.synthetic,
            "labelled": self.labelled,
            "total": len(self.images),
            "sha256": digest.hexdigest(),
        }
