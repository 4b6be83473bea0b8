"""Rounding that makes up for itself: nearer to the float model, with the same scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import numpy_helper

from hcr_edge.checkpoints import find_checkpoint
from hcr_export import compensation, onnx_compensation, tflite_compensation
from hcr_export.artifacts import choose
from hcr_export.conversion import Conversion
from hcr_export.flatbuffer import read_edges
from hcr_export.keras_file import load_keras, save_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.onnx import run
from hcr_export.onnx_quantization import quantize
from hcr_export.plan import Border, plan
from hcr_export.quantization import QuantizationRecipe
from hcr_export.tflite_file import TFLiteFile
from hcr_runtime import ModelSpec, preprocess

NEAREST = QuantizationRecipe(compensate=False)


@pytest.fixture(scope="module")
def letters(drawn: LabelledImages, spec: ModelSpec) -> NDArray[np.float32]:
    return np.stack([preprocess(image, spec) for image in drawn.images])


@pytest.fixture(scope="module")
def calibration(letters_dir: Path, spec: ModelSpec) -> NDArray[np.float32]:
    """Other letters: six of each."""
    return _calibrating(letters_dir, spec)


def _calibrating(letters_dir: Path, spec: ModelSpec) -> NDArray[np.float32]:
    files = sorted((letters_dir / "calibration").rglob("*.png"))
    return np.stack([preprocess(file, spec) for file in files])


def _error(folded: onnx.ModelProto, quantized: onnx.ModelProto, tensors: NDArray[Any]) -> float:
    return float(np.abs(run(quantized, tensors) - run(folded, tensors)).mean())


def _folded(path: Path, calibration: NDArray[np.float32], border: Border) -> onnx.ModelProto:
    return Conversion(load_keras(path), calibration).folded(border)


@pytest.mark.parametrize("name", ["arabic-letters-nano", "persian-digits", "arabic-letters"])
@pytest.mark.parametrize("settings", [{}, {"activations": "int8"}, {"granularity": "tensor"}])
def test_answers_are_nearer_to_those_of_float32(
    name: str,
    settings: dict[str, Any],
    drawn: LabelledImages,
    letters_dir: Path,
) -> None:
    """On letters that did not calibrate: six of each do; each model is shown its own tensors."""
    path = find_checkpoint(name)
    spec = load_keras(path).spec
    calibration = _calibrating(letters_dir, spec)
    letters = np.stack([preprocess(image, spec) for image in drawn.images])
    folded = _folded(path, calibration, Border())
    made = [
        quantize(folded, QuantizationRecipe(**settings, compensate=compensate), calibration)
        for compensate in (False, True)
    ]
    nearest, compensated = (_error(folded, model, letters) for model in made)
    # By channels the larger network has little to make up for; what is no gain is left.
    little = name == "arabic-letters" and settings.get("granularity") != "tensor"
    assert compensated <= (1.0 if little else 0.9) * nearest
    steps = [
        [numpy_helper.to_array(item) for item in model.graph.initializer if item.data_type == 1]
        for model in made
    ]
    for before, after in zip(*steps, strict=True):
        np.testing.assert_array_equal(before, after, "a scale")


@pytest.mark.parametrize("border", [Border("uint8", "NHWC"), Border("float32", "NCHW", 1)])
def test_every_kind_of_layer(
    border: Border, spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    """Strides, padding, one filter for each channel, dilation, groups, dense: and a fixed batch."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 1)),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Dense(12, activation="relu"),
            layers.Conv2D(12, 3, dilation_rate=2, padding="same", activation="relu"),
            layers.Conv2D(12, 3, groups=3, padding="same", activation="relu"),
            layers.SeparableConv2D(12, 3, padding="valid", activation="relu"),
            layers.Flatten(),
            layers.Dense(24, activation="relu"),
            layers.Dense(28),
        ]
    )
    path = tmp_path / "kinds.keras"
    save_keras(model, spec, path)
    tensors = letters if border.dtype == "float32" else np.round(letters * 255).astype(np.uint8)
    tensors = tensors.transpose(0, 3, 1, 2) if border.layout == "NCHW" else tensors
    folded = _folded(path, letters, border)
    made = [quantize(folded, recipe, tensors[::2]) for recipe in (NEAREST, QuantizationRecipe())]
    others = tensors[1::2]
    batches = [others] if border.batch is None else np.split(others[:20], 20)
    nearest, compensated = (
        np.mean([_error(folded, each, batch) for batch in batches]) for each in made
    )
    assert compensated < nearest


def test_same_bytes_each_time(letters: NDArray[np.float32]) -> None:
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    first, second = (quantize(folded, QuantizationRecipe(), letters) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()


@pytest.mark.parametrize("limit", ["MAX_LAYERS", "MAX_BYTES"])
def test_large_networks_are_rounded_to_the_nearest(
    limit: str, letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the manual says: the work grows with the square of the layers."""
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    monkeypatch.setattr(onnx_compensation, limit, 3)
    made = [quantize(folded, recipe, letters) for recipe in (NEAREST, QuantizationRecipe())]
    assert made[0].SerializeToString() == made[1].SerializeToString()


def test_wide_pictures_keep_their_weights(
    letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patches that would not fit into memory; biases make up for the weights still."""
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    monkeypatch.setattr(compensation, "MAX_PATCH_VALUES", 3)
    nearest, biases = (
        quantize(folded, recipe, letters[::2]) for recipe in (NEAREST, QuantizationRecipe())
    )
    weights = [
        [numpy_helper.to_array(item) for item in model.graph.initializer if len(item.dims) == 4]
        for model in (nearest, biases)
    ]
    for before, after in zip(*weights, strict=True):
        np.testing.assert_array_equal(before, after)
    assert _error(folded, biases, letters[1::2]) < _error(folded, nearest, letters[1::2])


def test_blank_calibration_images_do_no_harm(letters: NDArray[np.float32]) -> None:
    """Inputs that never vary tell nothing of how weights go together."""
    folded = _folded(find_checkpoint("arabic-letters-nano"), letters, Border())
    model = quantize(folded, QuantizationRecipe(), np.zeros_like(letters[:8]))
    assert np.isfinite(run(model, letters[:8])).all()


def _flatbuffer(
    path: Path,
    calibration: NDArray[np.float32],
    quantization: str = "int8",
    recipe: QuantizationRecipe | None = None,
    border: Border | None = None,
) -> bytes:
    (planned,) = plan(choose([f"{quantization}.tflite"]), border, recipe).artifacts
    return Conversion(load_keras(path), calibration).flatbuffer(planned)


def _answers(model: bytes, tensors: NDArray[Any]) -> NDArray[np.float32]:
    given, gives = read_edges(model)
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for tensor in tensors:
        interpreter.set_tensor(image["index"], given.quantized(tensor[None]))
        interpreter.invoke()
        answers.append(gives.dequantized(interpreter.get_tensor(output["index"]))[0])
    return np.stack(answers)


def _tflite_error(plain: bytes, quantized: bytes, tensors: NDArray[Any]) -> float:
    """What the logits are off by, where `tflite_logits` cuts none of them off."""
    exact = _answers(plain, tensors)
    return float(np.abs(_answers(quantized, tensors) - exact)[exact > -7].mean())


def test_tflite_answers_are_nearer_to_those_of_float32(
    calibration: NDArray[np.float32], letters: NDArray[np.float32]
) -> None:
    """On letters that did not calibrate; of the file only weights and biases change."""
    path = find_checkpoint("arabic-letters-nano")
    plain = _flatbuffer(path, calibration, "float32")
    nearest = _flatbuffer(path, calibration, recipe=NEAREST)
    compensated = _flatbuffer(path, calibration)
    assert _tflite_error(plain, compensated, letters) < 0.93 * _tflite_error(
        plain, nearest, letters
    )
    assert compensated != nearest
    before, after = (schema.ModelT.InitFromPackedBuf(model, 0) for model in (nearest, compensated))
    assert len(nearest) == len(compensated)
    for one, other in zip(before.subgraphs[0].tensors, after.subgraphs[0].tensors, strict=True):
        np.testing.assert_array_equal(one.shape, other.shape)
        if one.quantization is not None and one.quantization.scale is not None:
            np.testing.assert_array_equal(one.quantization.scale, other.quantization.scale)
    assert compensated == _flatbuffer(path, calibration), "the same bytes each time"


_KINDS: dict[str, dict[str, Any]] = {
    "padded on one side": {"kernel_size": 4, "strides": 3},
    "unpadded": {"kernel_size": (3, 5), "padding": "valid"},
    "dilated": {"kernel_size": 3, "dilation_rate": 2},
    "grouped": {"kernel_size": 3, "groups": 2},
    "depthwise": {"kernel_size": (3, 2)},
    "strided depthwise": {"kernel_size": 3, "strides": 2},
}


def _kind(name: str, filters: int, multiplier: int, **more: Any) -> keras.layers.Layer:
    options = {"padding": "same", **more, **_KINDS[name]}
    if "depthwise" in name:
        return keras.layers.DepthwiseConv2D(depth_multiplier=multiplier, **options)
    return keras.layers.Conv2D(filters, **options)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize(
    ("settings", "border"), [({}, None), ({"granularity": "tensor"}, Border("uint8"))]
)
def test_every_kind_of_layer_in_tflite(
    kind: str,
    settings: dict[str, Any],
    border: Border | None,
    spec: ModelSpec,
    letters: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    """Of images that did not calibrate what is off on average goes, and no answer gets worse."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 1)),
            layers.Conv2D(6, 3, activation="relu", bias_initializer="random_normal"),
            _kind(kind, 8, 2, bias_initializer="ones"),
            layers.Dense(8, activation="relu", bias_initializer="random_normal"),
            layers.Flatten(),
            layers.Dense(28, bias_initializer="random_normal"),
        ]
    )
    path = tmp_path / "kinds.keras"
    save_keras(model, spec, path)
    plain = _answers(_flatbuffer(path, letters, "float32"), letters[1::2])
    nearest, compensated = (
        _answers(
            _flatbuffer(path, letters[::2], recipe=QuantizationRecipe(**some), border=border),
            letters[1::2],
        )
        - plain
        for some in ({**settings, "compensate": False}, settings)
    )
    assert np.abs(compensated).mean() < np.abs(nearest).mean()
    assert np.abs(compensated.mean(axis=0)).mean() < np.abs(nearest.mean(axis=0)).mean()


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind != "dilated"])
def test_what_meets_the_weights_in_tflite(
    kind: str, spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    """Weights times what meets them, on average, are the layer's answer; at the rim too."""
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 1)),
            keras.layers.Conv2D(2, 1),
            _kind(kind, 28, 14),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    path = tmp_path / "kinds.keras"
    save_keras(model, spec, path)
    plain = _flatbuffer(path, letters, "float32")
    file = TFLiteFile(plain)
    layer = file.layers[-1]
    assert layer.window is not None
    rows = layer.rows(file.numbers(layer.weight))
    np.testing.assert_array_equal(layer.weights(rows), file.numbers(layer.weight))
    for image, answer in zip(letters[:5], _answers(plain, letters[:5]), strict=True):
        inputs = (values for (values,) in file.inputs([layer], image[None]))
        met = compensation.moments(inputs, layer.window, layer.fan_in)
        assert met is not None
        np.testing.assert_allclose(tflite_compensation._outputs(rows, met[0]), answer, atol=1e-5)


@pytest.fixture(scope="module")
def nano(letters: NDArray[np.float32]) -> tuple[bytes, bytes]:
    """As int8, rounded to the nearest, and in float32."""
    path = find_checkpoint("arabic-letters-nano")
    return _flatbuffer(path, letters, recipe=NEAREST), _flatbuffer(path, letters, "float32")


def test_tflite_of_another_network_or_too_large_a_one_stays(
    nano: tuple[bytes, bytes], letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest, plain = nano
    other = _flatbuffer(find_checkpoint("persian-digits"), letters, "float32")
    assert tflite_compensation.compensate(nearest, plain, letters) != nearest
    assert tflite_compensation.compensate(nearest, other, letters) == nearest
    assert tflite_compensation.compensate(nearest, plain, letters[:15]) == nearest, "too few"
    for limit in ("MAX_LAYERS", "MAX_BYTES", "MAX_WORK"):
        with monkeypatch.context() as patch:
            patch.setattr(tflite_compensation, limit, 3)
            assert tflite_compensation.compensate(nearest, plain, letters) == nearest


def test_what_answers_no_nearer_is_left(
    nano: tuple[bytes, bytes], letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest, plain = nano
    monkeypatch.setattr(tflite_compensation, "round_rows", lambda rows, *_: np.ones_like(rows))
    assert tflite_compensation.compensate(nearest, plain, letters) == nearest


def test_layers_that_share_zeros_and_filters_of_zeros(
    spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    """Of the former the weights are rounded all the same; of the latter no integer is no number."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 1)),
            *(layers.Conv2D(8, 3, activation="relu", use_bias=False) for _ in range(3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(28),
        ]
    )
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(8) == 3, 0, np.asarray(kernel)))
    path = tmp_path / "pruned.keras"
    save_keras(model, spec, path)
    nearest = _flatbuffer(path, letters, recipe=NEAREST)
    compensated = _flatbuffer(path, letters)
    before, after = (TFLiteFile(model) for model in (nearest, compensated))
    changed = [
        (before.numbers(one.weight) != after.numbers(other.weight)).any()
        for one, other in zip(before.layers, after.layers, strict=True)
    ]
    assert sum(changed) >= 3
    filters = after.layers[0].rows(after.numbers(after.layers[0].weight))
    assert not filters[3].any()
    assert np.isfinite(_answers(compensated, letters[:8])).all()


def test_blank_calibration_images_do_tflite_no_harm(letters: NDArray[np.float32]) -> None:
    """Inputs that never vary tell nothing: the file is left, or answers them as near."""
    path, blank = find_checkpoint("arabic-letters-nano"), np.zeros_like(letters[:40])
    plain = _flatbuffer(path, blank, "float32")
    nearest, compensated = _flatbuffer(path, blank, recipe=NEAREST), _flatbuffer(path, blank)
    assert _tflite_error(plain, compensated, blank[:2]) <= _tflite_error(plain, nearest, blank[:2])
