"""A small network, trained for seconds on the project's own images, and its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hcr_export._keras import keras
from hcr_export.artifacts import KINDS
from hcr_export.bundle import CalibrationImages, export_bundle
from hcr_export.keras_file import KerasFile, load_keras, save_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.parity_report import ParityReport
from hcr_export.plan import plan
from hcr_export.targets import installed
from hcr_runtime import Label, ModelSpec, Provenance, preprocess

CALIBRATION = "36 images for the tests"
PARITY = "84 images for the tests"


@dataclass(frozen=True)
class Bundle:
    """An exported bundle, what it was made from, and what its export answered."""

    path: Path
    source: KerasFile
    report: ParityReport


@pytest.fixture(scope="session")
def letters_dir(samples_dir: Path) -> Path:
    return samples_dir / "arabic-letters"


@pytest.fixture(scope="session")
def spec(letters_dir: Path) -> ModelSpec:
    """Unlike the defaults wherever it may be: what is lost on the way shows."""
    codepoints = sorted(folder.name for folder in (letters_dir / "test").iterdir())
    labels = tuple(
        Label(chr(int(name[2:], 16)), f"letter-{number}", "", "Arab", "rtl")
        for number, name in enumerate(codepoints)
    )
    provenance = Provenance("drawn letters", "Apache-2.0", "tiny", figures={"drawn letters": 0.5})
    return ModelSpec("tiny", labels, output="logits", temperature=1.3, provenance=provenance)


@pytest.fixture(scope="session")
def drawn(letters_dir: Path, spec: ModelSpec) -> LabelledImages:
    """Three drawn images of each letter."""
    return _read(letters_dir / "test", spec, 3, PARITY)


@pytest.fixture(scope="session")
def calibration(letters_dir: Path, spec: ModelSpec) -> CalibrationImages:
    return CalibrationImages(
        CALIBRATION, _read(letters_dir / "calibration", spec, 2, "").images[:36]
    )


@pytest.fixture(scope="session")
def source(
    letters_dir: Path, spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory
) -> KerasFile:
    """A Sequential model (the kind that converters stumble over) that reads the drawn letters."""
    images = _read(letters_dir / "test", spec, 12, "")
    tensors = np.stack([preprocess(image, spec) for image in images.images])
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            layers.Conv2D(8, 5, strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(len(spec.labels)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(tensors, images.labels, batch_size=32, epochs=25, verbose=0)
    path = tmp_path_factory.mktemp("keras") / "tiny.keras"
    save_keras(model, spec, path)
    return load_keras(path)


@pytest.fixture(scope="session")
def bundle(
    source: KerasFile,
    drawn: LabelledImages,
    calibration: CalibrationImages,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """All kinds that can be made; exported once, never to be changed: who does copies it."""
    out = tmp_path_factory.mktemp("export") / "deep" / "tiny"
    report = export_bundle(
        source,
        out,
        plan=plan(installed(KINDS)),
        calibration=calibration,
        images=drawn,
        golden=drawn.images[::6],
    )
    return Bundle(out, source, report)


def _read(split: Path, spec: ModelSpec, each: int, description: str) -> LabelledImages:
    images, labels = [], []
    for index, label in enumerate(spec.labels):
        for path in sorted((split / label.codepoint).glob("*.png"))[:each]:
            images.append(path.read_bytes())
            labels.append(index)
    return LabelledImages(description, images, np.asarray(labels, np.int64), synthetic=True)
