"""Files that Keras 2 wrote answer as they did there (``keras2/make.py`` made them)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hcr_export.keras_legacy import TensorFlowOp, modernise
from hcr_export.model_files import open_model_file
from hcr_runtime import ModelError

FILES = Path(__file__).with_name("keras2")

with np.load(FILES / "answers.npz", allow_pickle=False) as _stored:
    ANSWERS = dict(_stored)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", ["sequential", "arithmetic", "nested"])
def test_it_answers_as_in_keras_2(name: str, suffix: str) -> None:
    model = open_model_file(FILES / f"{name}.{suffix}").model
    answers = np.asarray(model(ANSWERS[f"{name}_images"], training=False))
    np.testing.assert_allclose(answers, ANSWERS[f"{name}_answers"], atol=2e-5)


def test_before_2_3_a_sequential_model_was_a_list(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    shutil.copyfile(FILES / "sequential.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"] = [
            layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"
        ]
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.1.6"
    answers = open_model_file(path).model(ANSWERS["sequential_images"], training=False)
    np.testing.assert_allclose(np.asarray(answers), ANSWERS["sequential_answers"], atol=2e-5)


@pytest.mark.parametrize(
    "function",
    ["io.write_file", "py_function", "image._sys.exit", "math.__loader__", "nn", "no.such"],
)
def test_no_function_beyond_arithmetic_is_called(function: str) -> None:
    """A file names the function: it must not reach the disk, or Python."""
    with pytest.raises(ModelError, match="arithmetic on images"):
        TensorFlowOp(function)


def test_training_in_mixed_precision_leaves_no_trace() -> None:
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    item = {"class_name": "Dense", "config": {"name": "d", "units": 2, "dtype": policy}}
    assert modernise(item)["config"]["dtype"] == "float32"
