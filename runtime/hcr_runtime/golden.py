"""Golden vectors: image bytes → tensor → raw outputs, with which a port or a device proves itself.

``golden/vectors.json`` lists the cases; ``golden/images/`` holds the images, ``golden/tensors.f32``
their input tensors one after another (little-endian float32, height x width x channels, as
`preprocess` gives them; `hcr_runtime.border` turns them into what the file takes).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.engines import open_engine
from hcr_runtime.errors import ModelError
from hcr_runtime.preprocess import preprocess
from hcr_runtime.spec import NEWEST_PREPROCESS, ModelSpec

# A tensor of another OpenCV build may differ by this many steps of 1/255 and still be right.
TENSOR_STEPS = 2
# Raw outputs of another build may differ by this share of their range.
OUTPUT_SHARE = 0.05
# Outputs are written down with 6 digits.
OUTPUT_ROUNDING = 2e-6


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What a check found.

    Attributes:
        file: The model file that ran.
        cases: Images checked.
        exact_tensors: Images whose tensor has the recorded checksum.
        failures: What is wrong, in words; empty when all is well.
        skipped: Why it was not checked; empty when it was.
    """

    file: str
    cases: int
    exact_tensors: int
    failures: tuple[str, ...]
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """One line for people."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        cases = f"{self.cases} cases, {self.exact_tensors} exact tensors: " if self.cases else ""
        return cases + ("; ".join(self.failures) or "as recorded")

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON types."""
        return {**asdict(self), "failures": list(self.failures), "skipped": self.skipped or None}


def write_golden(
    folder: Path, spec: ModelSpec, images: Sequence[bytes], models: Mapping[str, Path]
) -> None:
    """Write golden vectors into `folder`.

    Args:
        folder: Made here.
        spec: The models' description.
        images: The bytes of PNG files.
        models: Model files by name, each run on its engine.
    """
    (folder / "images").mkdir(parents=True)
    tensors = np.stack([preprocess(image, spec) for image in images])
    outputs: dict[str, NDArray[np.float32]] = {}
    for name, path in models.items():
        engine = open_engine(path)
        outputs[name] = np.concatenate([engine.run(tensor[None]) for tensor in tensors])
    cases = []
    for number, image in enumerate(images):
        name = f"images/{number:03d}.png"
        (folder / name).write_bytes(image)
        cases.append(
            {
                "image": name,
                "image_sha256": hashlib.sha256(image).hexdigest(),
                "tensor_sha256": _tensor_sha256(tensors[number]),
                "outputs": {
                    model: [round(float(value), 6) for value in rows[number]]
                    for model, rows in outputs.items()
                },
                "labels": {
                    model: spec.texts[int(rows[number].argmax())] for model, rows in outputs.items()
                },
            }
        )
    tensors.astype("<f4").tofile(folder / "tensors.f32")
    vectors = {
        "schema_version": 1,
        "preprocess_version": spec.preprocess.version,
        "tensor_shape": list(tensors.shape[1:]),
        "output": spec.output,
        "cases": cases,
    }
    (folder / "vectors.json").write_text(
        json.dumps(vectors, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def check_golden(folder: Path, model: Path) -> GoldenResult:
    """Run the golden vectors in `folder` through this device's preprocessing and `model`.

    Raises:
        ModelError: The vectors are missing or damaged, or do not know the model.
    """
    vectors, tensors = _read(folder, model.name)
    engine = open_engine(model)
    failures: list[str] = []
    exact = 0
    for case, golden in zip(vectors["cases"], tensors, strict=True):
        name = case["image"]
        image = _read_image(folder / name)
        if hashlib.sha256(image).hexdigest() != case["image_sha256"]:
            failures.append(f"{name}: the image was altered")
            continue
        tensor = preprocess(image, engine.spec)
        if _tensor_sha256(tensor) == case["tensor_sha256"]:
            exact += 1
        elif tensor.shape != golden.shape or _steps(tensor, golden, engine.spec) > TENSOR_STEPS:
            failures.append(f"{name}: the preprocessing gives another tensor")
            continue
        expected = np.asarray(case["outputs"][model.name], np.float32)
        got = engine.run(tensor[None])[0]
        if not _answers_alike(got, expected):
            failures.append(f"{name}: the model answers otherwise")
        elif engine.spec.texts[expected.argmax()] != _label(case, model.name, engine.spec):
            failures.append(f"{name}: the answer has another label")
    return GoldenResult(model.name, len(tensors), exact, tuple(failures))


def _answers_alike(got: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """Whether outputs are within the tolerance; the first label may differ in a tie alone."""
    if got.shape != expected.shape:
        return False
    tolerance = OUTPUT_SHARE * float(expected.max() - expected.min()) + OUTPUT_ROUNDING
    if not np.abs(got - expected).max() <= tolerance:  # nor where either is no number
        return False
    return bool(expected.max() - expected[got.argmax()] <= OUTPUT_ROUNDING) or bool(
        got.argmax() == expected.argmax()
    )


def _read(folder: Path, model: str) -> tuple[dict[str, Any], NDArray[np.float32]]:
    try:
        vectors = json.loads((folder / "vectors.json").read_text(encoding="utf-8"))
        flat = np.fromfile(folder / "tensors.f32", dtype="<f4")
        shape = (len(vectors["cases"]), *vectors["tensor_shape"])
        tensors = flat.astype(np.float32).reshape(shape)
        for name, newest in (("schema_version", 1), ("preprocess_version", NEWEST_PREPROCESS)):
            told = vectors[name]
            if type(told) is not int or not 1 <= told <= newest:
                raise ModelError(
                    f"{folder} holds golden vectors of {name} {told}", allowed=f"1 to {newest}"
                )
        for case, tensor in zip(vectors["cases"], tensors, strict=True):
            if model not in case["outputs"]:
                raise ModelError(
                    f"the golden vectors do not know {model}", allowed=", ".join(case["outputs"])
                )
            answer = np.asarray(case["outputs"][model], np.float32)
            if answer.ndim != 1 or answer.size == 0 or not isinstance(case["image"], str):
                raise ValueError(f"{model} has no answer to {case['image']}")
            if _tensor_sha256(tensor) != case["tensor_sha256"]:
                raise ValueError(f"the tensor of {case['image']} was altered")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder} holds no golden vectors ({error})") from error
    return vectors, tensors


def _label(case: dict[str, Any], model: str, spec: ModelSpec) -> str:
    """The label that the exporter saw; the first bundles did not write it down."""
    best = int(np.argmax(case["outputs"][model]))
    return str(case.get("labels", {}).get(model, spec.texts[best]))


def _read_image(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def _tensor_sha256(tensor: NDArray[np.float32]) -> str:
    return hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest()


def _steps(tensor: NDArray[np.float32], golden: NDArray[np.float32], spec: ModelSpec) -> float:
    return float((np.abs(tensor - golden) * spec.preprocess.std * 255).max())
