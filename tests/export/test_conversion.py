"""Every border and every recipe, on the engine that runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from hcr_export import conversion
from hcr_export.artifacts import KINDS, choose
from hcr_export.conversion import Conversion, open_artifact
from hcr_export.keras_file import KerasFile
from hcr_export.onnx_quantization import layers
from hcr_export.plan import Border, plan
from hcr_export.quantization import QuantizationError, QuantizationRecipe
from hcr_export.targets import installed
from hcr_runtime import preprocess

UNUSUAL = Border("uint8", "NCHW", 2)


@pytest.fixture(scope="module")
def tensors(drawn, spec) -> NDArray[np.float32]:
    """An odd number of images: the last of the batches of two is not full."""
    return np.stack([preprocess(image, spec) for image in drawn.images[:15]])


@pytest.fixture(scope="module")
def job(source, calibration) -> Conversion:
    images = [preprocess(image, source.spec) for image in calibration.images]
    return Conversion(source, np.stack(images))


def _write(
    job: Conversion,
    folder: Path,
    name: str,
    border: Border | None = None,
    recipe: QuantizationRecipe | None = None,
) -> Path:
    (planned,) = plan(choose([name]), border, recipe).artifacts
    spec = replace(job.source.spec, input=planned.input_spec(job.source.spec.input))
    path = folder / planned.kind.file_name("tiny")
    conversion.write(job, planned, spec, path)
    return path


@pytest.mark.parametrize(
    "name",
    [kind.name for kind in installed(KINDS) if kind.name != "dynamic-int8.onnx"],
)
def test_pixels_in_another_order_and_batch_read_alike(
    name: str, job: Conversion, tensors: NDArray[np.float32], tmp_path: Path
) -> None:
    """A uint8 NCHW file of batch two answers as the float32 NHWC file of any batch."""
    usual = open_artifact(_write(job, tmp_path, name)).run(tensors)
    path = _write(job, tmp_path, name, UNUSUAL)
    unusual = open_artifact(path).run(tensors)
    assert unusual.shape == (15, 28)
    assert (usual.argmax(axis=1) == unusual.argmax(axis=1)).all()
    # uint8 pixels are the ink exactly; only a quantized graph may round in other places.
    share = 1e-4 if "float" in name else 0.1
    assert np.abs(unusual - usual).max() <= share * np.ptp(usual)


def test_border_of_onnx_is_what_was_asked_for(job: Conversion, tmp_path: Path) -> None:
    path = _write(job, tmp_path, "int8.onnx", UNUSUAL)
    (image,) = onnxruntime.InferenceSession(path).get_inputs()
    assert (image.type, image.shape) == ("tensor(uint8)", [2, 1, 32, 32])


@pytest.mark.parametrize(
    ("recipe", "activations", "scales"),
    [
        (QuantizationRecipe(), TensorProto.UINT8, 16),
        (QuantizationRecipe(granularity="tensor"), TensorProto.UINT8, 1),
        (QuantizationRecipe(activations="int8"), TensorProto.INT8, 16),
    ],
)
def test_int8_follows_the_recipe(
    recipe: QuantizationRecipe, activations: int, scales: int, job: Conversion, tmp_path: Path
) -> None:
    model = onnx.load(_write(job, tmp_path, "int8.onnx", recipe=recipe))
    values = {item.name: item for item in model.graph.initializer}
    zero_points = {
        values[node.input[2]].data_type
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert zero_points == {activations}
    (second,) = (item for item in values.values() if list(item.dims) == [16, 8, 3, 3])
    (weights,) = (node for node in model.graph.node if second.name in node.input)
    assert int(np.prod(values[weights.input[1]].dims, dtype=int)) == scales


@pytest.mark.parametrize(("reduced", "largest"), [(True, 64), (False, 127)])
def test_reduced_range_leaves_a_bit_unused(
    reduced: bool, largest: int, job: Conversion, tmp_path: Path
) -> None:
    path = _write(job, tmp_path, "int8.onnx", recipe=QuantizationRecipe(reduce_range=reduced))
    weights = [
        onnx.numpy_helper.to_array(item)
        for item in onnx.load(path).graph.initializer
        if item.data_type == TensorProto.INT8 and len(item.dims) == 4
    ]
    assert max(int(np.abs(values.astype(int)).max()) for values in weights) == largest


def test_percentile_narrows_the_ranges(job: Conversion, tmp_path: Path) -> None:
    def scales(recipe: QuantizationRecipe) -> list[float]:
        model = onnx.load(_write(job, tmp_path, "int8.onnx", recipe=recipe))
        values = {item.name: item for item in model.graph.initializer}
        nodes = (node for node in model.graph.node if node.op_type == "QuantizeLinear")
        return [float(onnx.numpy_helper.to_array(values[node.input[1]])) for node in nodes]

    whole = scales(QuantizationRecipe())
    narrow = scales(QuantizationRecipe(calibration="percentile", percentile=99.0))
    assert all(a <= b * 1.001 for a, b in zip(narrow, whole, strict=True))
    assert min(a / b for a, b in zip(narrow, whole, strict=True)) < 0.9


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_every_calibration_reads(
    method, job: Conversion, tensors: NDArray[np.float32], tmp_path: Path
) -> None:
    path = _write(job, tmp_path, "int8.onnx", recipe=QuantizationRecipe(calibration=method))
    exact = job.source.scores(tensors).argmax(axis=1)
    assert (open_artifact(path).run(tensors).argmax(axis=1) == exact).mean() > 0.8


def test_excluded_layers_stay_in_float32(job: Conversion, tmp_path: Path) -> None:
    assert layers(job.folded(Border())) == ("conv_1", "conv_2", "gemm_1")
    recipe = QuantizationRecipe(exclude=("conv_2",))
    model = onnx.load(_write(job, tmp_path, "int8.onnx", recipe=recipe))
    kept = [
        list(item.dims)
        for item in model.graph.initializer
        if item.data_type == TensorProto.FLOAT and len(item.dims) == 4
    ]
    assert kept == [[16, 8, 3, 3]]


@pytest.mark.parametrize("batch", [2, 8])
def test_every_image_calibrates_whatever_the_batch(
    batch: int, source: KerasFile, tensors: NDArray[np.float32], tmp_path: Path
) -> None:
    """The one that is not blank is the last of three: the last batch is not full, or the only."""
    job = Conversion(source, tensors[:3] * np.float32([0, 0, 1])[:, None, None, None])

    def scales(border: Border) -> list[float]:
        model = onnx.load(_write(job, tmp_path, "int8.onnx", border))
        values = [numpy_helper.to_array(item) for item in model.graph.initializer]
        return sorted(float(v) for v in values if v.dtype == np.float32 and v.ndim == 0)

    assert scales(Border(batch=batch)) == scales(Border()) != []


def test_layer_that_is_not_there_is_named(job: Conversion, tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="no layer conv_9; allowed: conv_1, conv_2, gemm_1"):
        _write(job, tmp_path, "int8.onnx", recipe=QuantizationRecipe(exclude=("conv_9",)))


@pytest.mark.parametrize("kind", installed(KINDS), ids=lambda kind: kind.name)
def test_same_model_gives_the_same_bytes(kind, source, job: Conversion, tmp_path: Path) -> None:
    """A second conversion shares nothing with the first.

    onnxruntime writes the tables of an .ort file in another order each time: there the size is
    the same, and the list of operators.
    """
    for folder, each in (("a", job), ("b", Conversion(source, job.calibration))):
        (tmp_path / folder).mkdir()
        _write(each, tmp_path / folder, kind.name)
    for path in (tmp_path / "a").iterdir():
        again = tmp_path / "b" / path.name
        if path.suffix == ".ort":
            assert path.stat().st_size == again.stat().st_size
        else:
            assert path.read_bytes() == again.read_bytes(), path.name
