"""Versions of the preprocessing stay what they are: a change of behaviour is a new one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hcr_runtime import Label, ModelSpec, PreprocessSpec, preprocess
from hcr_runtime.golden import TENSOR_STEPS
from hcr_runtime.spec import NEWEST_PREPROCESS


def _stored(what: str) -> dict[str, np.ndarray]:
    file = Path(__file__).with_name(f"preprocess_{what}.npz")
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


TENSORS = {version: _stored(f"v{version}") for version in range(1, NEWEST_PREPROCESS + 1)}
# Drawn letters that are tiny, faint and noisy, cut where their ink ends, or hardly large enough.
IMAGES = _stored("images")


def test_every_letter_and_photograph_is_guarded() -> None:
    assert [len(tensors) for tensors in TENSORS.values()] == [64, 64]
    assert len(IMAGES) == 28
    # Descriptions that name none are from before there was a second.
    assert PreprocessSpec().version == 1


@pytest.mark.parametrize("version", TENSORS)
@pytest.mark.parametrize("name", TENSORS[1])
def test_tensor_is_as_recorded(name: str, version: int, samples_dir: Path) -> None:
    """Other OpenCV builds round otherwise, by a step or two of 255."""
    labels = Label("a", "a"), Label("b", "b")
    spec = ModelSpec("golden", labels, preprocess=PreprocessSpec(version=version))
    image = IMAGES[name] if name in IMAGES else samples_dir / name
    tensor = preprocess(image, spec)[:, :, 0] * 255
    assert np.abs(tensor - TENSORS[version][name]).max() <= TENSOR_STEPS
