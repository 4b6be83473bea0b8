"""Steps of the logits: as fine as what decides asks for, in TFLite; none at all in ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from hcr_edge.checkpoints import find_checkpoint
from hcr_export import tflite_logits
from hcr_export.artifacts import choose
from hcr_export.conversion import Conversion
from hcr_export.keras_file import load_keras, save_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.onnx import run
from hcr_export.plan import Border, plan
from hcr_export.quantization import QuantizationRecipe
from hcr_export.tflite_file import TFLiteFile
from hcr_runtime import ModelSpec, preprocess

NANO = "arabic-letters-nano"


@pytest.fixture(scope="module")
def letters(drawn: LabelledImages, spec: ModelSpec) -> NDArray[np.float32]:
    return np.stack([preprocess(image, spec) for image in drawn.images])


def _job(path: Path, letters: NDArray[np.float32]) -> Conversion:
    return Conversion(load_keras(path), letters[::2])


def _made(job: Conversion, name: str, border: Border | None = None) -> Any:
    (planned,) = plan(choose([name]), border).artifacts
    return job.flatbuffer(planned) if name.endswith("tflite") else job.graph(planned)


def _answers(model: bytes, letters: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.concatenate([*TFLiteFile(model).answers(letters)])


def _range_of_logits(model: bytes) -> tuple[float, float]:
    file = TFLiteFile(model)
    assert file.logits is not None
    return file.range(file.logits)


def _saved(path: Path, spec: ModelSpec, *last: keras.layers.Layer) -> Path:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 1)),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            *last,
        ]
    )
    save_keras(model, spec, path)
    return path


def _dense(activation: str | None) -> keras.layers.Layer:
    return keras.layers.Dense(28, activation=activation, bias_initializer="random_normal")


def test_logits_are_nearer_with_finer_steps(
    letters: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On letters that did not calibrate."""
    source = find_checkpoint(NANO)
    exact = _answers(_made(_job(source, letters), "float32.tflite"), letters[1::2])
    kept = exact > -7
    steps, off = [], []
    for reach in (tflite_logits.REACH, np.inf):
        monkeypatch.setattr(tflite_logits, "REACH", reach)
        made = _made(_job(source, letters), "int8.tflite")
        low, high = _range_of_logits(made)
        steps.append(high - low)
        off.append(np.abs(_answers(made, letters[1::2]) - exact)[kept].mean())
    assert steps[0] < 0.8 * steps[1]
    assert off[0] < off[1]


def test_the_border_in_uint8_stands_for_the_same(letters: NDArray[np.float32]) -> None:
    job = _job(find_checkpoint(NANO), letters)
    signed, unsigned = (
        _answers(_made(job, "int8.tflite", Border(dtype)), letters)
        for dtype in ("float32", "uint8")
    )
    np.testing.assert_allclose(signed, unsigned, atol=1e-5)
    reach = tflite_logits.REACH * job.source.spec.temperature
    assert signed.min() == pytest.approx(-reach, abs=0.2)


def test_logits_before_softmax(
    spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    """The probabilities keep their own scale; what goes into softmax is cut off."""
    dense = keras.layers.Dense(
        28, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=6)
    )
    flat = keras.layers.Flatten()
    job = _job(_saved(tmp_path / "softmax.keras", spec, flat, dense), letters)
    made, plain = _made(job, "int8.tflite"), _made(job, "float32.tflite")
    file, source = TFLiteFile(made), TFLiteFile(plain)
    assert file.logits is not None
    assert source.logits is not None
    logits = np.concatenate([*source.values(source.logits, letters[::2])])
    wanted = min(logits.max(axis=1).min(), 0) - tflite_logits.REACH * spec.temperature
    assert logits.min() < wanted, "there is something to cut off"
    assert file.range(file.logits)[0] == pytest.approx(wanted, abs=0.2)
    off = np.abs(_answers(made, letters[1::2]) - _answers(plain, letters[1::2]))
    assert off.mean() < 0.01


def test_what_is_not_to_be_cut_off_stays(
    spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    layers = keras.layers
    pooled = layers.Conv2D(28, 1), layers.GlobalAveragePooling2D()
    job = _job(_saved(tmp_path / "pooled.keras", spec, *pooled), letters)
    made, plain = _made(job, "int8.tflite"), _made(job, "float32.tflite")
    assert TFLiteFile(made).logits is None, "no dense layer gives them"
    assert tflite_logits.sharpen(made, plain, letters, 1.0) == made

    small = layers.Flatten(), _dense(None)
    job = _job(_saved(tmp_path / "small.keras", spec, *small), letters)
    made, plain = _made(job, "int8.tflite"), _made(job, "float32.tflite")
    assert tflite_logits.sharpen(made, plain, letters, 1.0) == made, "all of them are near the best"

    job = _job(find_checkpoint(NANO), letters)
    made, plain = _made(job, "int8.tflite"), _made(job, "float32.tflite")
    wide = tflite_logits.sharpen(made, plain, letters, 4.0)
    assert wide == made, "divided by 4, far fewer are far below the best"

    job = _job(find_checkpoint(NANO), letters[:30])
    made, plain = _made(job, "int8.tflite"), _made(job, "float32.tflite")
    low, _ = _range_of_logits(made)
    assert low < -15, "fifteen images tell too little"


@pytest.mark.parametrize("activation", ["softmax", None])
@pytest.mark.parametrize("biased", [True, False])
def test_onnx_gives_its_last_layer_in_float(
    activation: str | None,
    biased: bool,
    spec: ModelSpec,
    letters: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    dense = _dense(activation) if biased else keras.layers.Dense(28, activation, use_bias=False)
    job = _job(_saved(tmp_path / "dense.keras", spec, keras.layers.Flatten(), dense), letters)
    graph = _made(job, "int8.onnx").graph
    nodes, product = graph.node, "Gemm" if biased else "MatMul"
    kinds = [node.op_type for node in nodes]
    assert kinds[-1] == ("Softmax" if activation else product)
    assert kinds.index(product) > max(
        place for place, kind in enumerate(kinds) if kind == "QuantizeLinear"
    )
    dense_layer = nodes[kinds.index(product)]
    makers = {node.output[0]: node.op_type for node in nodes}
    assert {makers[name] for name in dense_layer.input} == {"DequantizeLinear"}, "of integers still"
    read = {name for node in nodes for name in node.input}
    assert {each.name for each in graph.initializer} <= read


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("softmax", [True, False])
def test_onnx_keeps_an_activation_of_the_last_layer(
    activation: str,
    softmax: bool,
    spec: ModelSpec,
    letters: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    """The quantizer leaves it out, because the range of the integers cuts off as it does."""
    last = [keras.layers.Flatten(), _dense(activation)] + softmax * [keras.layers.Softmax()]
    job = _job(_saved(tmp_path / "dense.keras", spec, *last), letters)
    off = run(_made(job, "int8.onnx"), letters) - run(_made(job, "float32.onnx"), letters)
    assert np.abs(off).max() < 0.05


def test_onnx_whose_answer_is_pooled_stays_in_integers(
    spec: ModelSpec, letters: NDArray[np.float32], tmp_path: Path
) -> None:
    pooled = keras.layers.Conv2D(28, 1), keras.layers.GlobalAveragePooling2D()
    job = _job(_saved(tmp_path / "pooled.keras", spec, *pooled), letters)
    assert _made(job, "int8.onnx").graph.node[-1].op_type == "DequantizeLinear"


def test_dynamic_weights_have_eight_bits(letters: NDArray[np.float32]) -> None:
    """Whatever the recipe says of int8: nothing saturates where both factors are unsigned."""
    model: onnx.ModelProto = _made(_job(find_checkpoint(NANO), letters), "dynamic-int8.onnx")
    assert QuantizationRecipe().reduce_range
    weights = [
        numpy_helper.to_array(item)
        for item in model.graph.initializer
        if item.data_type == onnx.TensorProto.UINT8 and len(item.dims) == 4
    ]
    assert len(weights) >= 7
    assert max(int(each.max()) for each in weights) > 200, "7 bits end at 127"
