"""Whether augmentation starves the network: ``make bench``."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.architectures import find_architecture
from hcr_edge.batches import InkBatches
from hcr_edge.datasets import load_dataset
from hcr_edge.recipe import load_recipe
from hcr_export._keras import keras
from hcr_runtime import ModelSpec

STEPS = 60


@pytest.mark.parametrize("arch", ["edge-nano", "edge-s"])
def test_share_of_a_step_spent_waiting_for_data(arch: str) -> None:
    """Time of steps on augmented batches, against the same steps on batches that are ready."""
    data_dir = Path(os.environ.get("HCR_EDGE_DATA", ""))
    if not (data_dir / "ahcd").is_dir():
        pytest.skip("HCR_EDGE_DATA names no folder with AHCD")
    recipe = replace(load_recipe(arch), outliers=0.06)
    data = load_dataset("ahcd", "train", data_dir=data_dir).limit(STEPS * recipe.batch_size)
    spec = ModelSpec("letters", data.label_set, output="logits")
    batches = InkBatches(data, spec, recipe)
    model = find_architecture(arch).build((32, 32, 1), len(data.label_set))
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
    shown = [batches[step] for step in range(len(batches))]
    images, targets = (np.concatenate(part) for part in zip(*shown, strict=True))
    size = len(images) // len(batches)

    def epoch(*arguments: object, **options: object) -> float:
        start = time.perf_counter()
        model.fit(*arguments, shuffle=False, verbose=0, **options)
        return time.perf_counter() - start

    epoch(images, targets, batch_size=size)  # traced once
    ready = min(epoch(images, targets, batch_size=size) for _ in range(3))
    augmented = min(epoch(batches) for _ in range(3))
    print(f"\n{arch}: {1 - ready / augmented:.0%} of a step is spent waiting for data")
    assert augmented < 3 * ready
