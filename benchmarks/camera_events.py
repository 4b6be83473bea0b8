"""How well composed videos of real letters are read: ``python benchmarks/camera_events.py``.

Thresholds were chosen on the recipes' validation writers, seeds 11 to 14; this shows test parts,
with other seeds. Needs HCR_EDGE_DATA. ``--quick`` shows a tenth, ``--seeds 3`` three videos each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2

from hcr_edge.datasets import load_dataset, match_labels
from hcr_edge.synth import compose, score, write_script
from hcr_runtime import Classifier, watch
from hcr_runtime.watching import Mode

COMNIST = Path(__file__).parents[1] / "docs" / "splits" / "comnist-cyrillic.json"
# Model, data set, split, mode, characters, seconds of each distraction, seed.
RUNS: tuple[tuple[str, str, str, Mode, int, float, int], ...] = (
    ("arabic-letters", "ahcd", "test", "guide", 100, 60.0, 101),
    ("arabic-letters", "ahcd", "test", "page", 40, 10.0, 102),
    ("persian-digits", "hoda", "test", "guide", 25, 5.0, 103),
    ("russian-letters", "comnist-cyrillic", f"{COMNIST}:test", "guide", 25, 5.0, 104),
)


def run(
    model: str, dataset: str, split: str, mode: Mode, count: int, distract: float, seed: int
) -> dict[str, object]:
    classifier = Classifier.load(model)
    data = match_labels(load_dataset(dataset, split), classifier.spec)
    size = {"width": 1280, "height": 720} if mode == "page" else {}
    script = write_script(data, mode=mode, count=count, distract=distract, seed=seed, **size)
    events = list(watch(compose(script, data), classifier, mode))
    found = score(script, events, data, classifier).to_dict()
    return {"model": model, "dataset": dataset, "mode": mode, "seed": seed, **found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    kinds = [f"{dataset}:{mode}" for _, dataset, _, mode, *_ in RUNS]
    parser.add_argument("--only", choices=kinds, help="measure this kind alone")
    parser.add_argument("--seeds", type=int, default=1, help="videos of each kind")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    share = 0.1 if options.quick else 1.0
    for model, dataset, split, mode, count, distract, seed in RUNS:
        if options.only in (None, f"{dataset}:{mode}"):
            part = round(count * share), distract * share
            for extra in range(0, 10 * options.seeds, 10):
                found = run(model, dataset, split, mode, *part, seed + extra)
                print(json.dumps(found), flush=True)
