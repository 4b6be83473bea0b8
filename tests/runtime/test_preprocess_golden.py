"""Version 1 of the preprocessing stays what it is: a change of its behaviour is a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hcr_runtime import Label, ModelSpec, preprocess
from hcr_runtime.golden import TENSOR_STEPS

GOLDEN = Path(__file__).with_name("preprocess_v1.npz")
SPEC = ModelSpec("golden", (Label("a", "a"), Label("b", "b")))

with np.load(GOLDEN, allow_pickle=False) as _stored:
    TENSORS = {name: _stored[name] for name in _stored.files}


def test_every_letter_and_photograph_is_guarded() -> None:
    assert SPEC.preprocess.version == 1
    assert len(TENSORS) == 36


@pytest.mark.parametrize("name", TENSORS)
def test_tensor_is_as_recorded(name: str, samples_dir: Path) -> None:
    """Other OpenCV builds round otherwise, by a step or two of 255."""
    tensor = preprocess(samples_dir / name, SPEC)[:, :, 0] * 255
    assert np.abs(tensor - TENSORS[name]).max() <= TENSOR_STEPS
