"""Anyone's classifier becomes one of ours: what is read, what is asked for, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from hcr_export import benchmark
from hcr_export._keras import keras
from hcr_export.artifacts import choose
from hcr_export.bundle import CalibrationImages, export_bundle
from hcr_export.conversion import Conversion
from hcr_export.engines import choose_engines, keras_engine, measure
from hcr_export.foreign import ModelFacts, adopt, has_spec, parse_normalize
from hcr_export.keras_file import KerasFile, load_keras
from hcr_export.labelled_images import LabelledImages
from hcr_export.manifest import BundleError
from hcr_export.matrix import measure_matrix
from hcr_export.model_files import model_sha256
from hcr_export.onnx import INPUT, convert
from hcr_export.plan import plan
from hcr_export.tflite_file import TFLiteFile
from hcr_runtime import EngineError, HcrError, Label, ModelError, SpecError, preprocess

layers = keras.layers
SMALL = (12, 12, 1)
TENSORS = np.random.default_rng(0).random((4, *SMALL), np.float32)


def facts(count: int = 3, **options: Any) -> ModelFacts:
    given: dict[str, Any] = {
        "labels": tuple(Label(chr(0x41 + i), f"class-{i}") for i in range(count)),
        "normalize": "0-1",
        **options,
    }
    return ModelFacts(**given)


def network(*parts: Any, shape: tuple[int | None, ...] = SMALL) -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input(shape), *parts])


def usual(units: int = 3, activation: str | None = "softmax") -> Any:
    conv = layers.Conv2D(2, 3, activation="relu")
    return network(conv, layers.Flatten(), layers.Dense(units, activation=activation))


def saved(model: Any, path: Path) -> Path:
    """Save in the form that the name says; a SavedModel where it has no suffix."""
    if path.suffix:
        model.save(path)
    else:
        model.export(path, verbose=False)
    return path


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "folder"])
def test_every_form_answers_as_before(name: str, tmp_path: Path) -> None:
    model = usual()
    path = saved(model, tmp_path / name)
    adopted = adopt(path, facts(name="mine"), tmp_path)
    expected = np.asarray(model(TENSORS))
    # What lies in a bundle needs its own file alone.
    for source in (adopted.source, load_keras(adopted.source.path)):
        np.testing.assert_allclose(source.scores(TENSORS), expected, atol=1e-6)
    spec = adopted.source.spec
    assert (spec.name, spec.input.height, spec.input.channels) == ("mine", 12, 1)
    assert spec.provenance.source_sha256 == model_sha256(path)
    assert "input 12x12x1" in adopted.filled


def test_a_folder_may_go_once_it_was_read(tmp_path: Path) -> None:
    model = usual()
    folder = saved(model, tmp_path / "folder")
    adopted = adopt(folder, facts(name="mine"), tmp_path)
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    again = load_keras(adopted.source.path)
    np.testing.assert_allclose(again.scores(TENSORS), np.asarray(model(TENSORS)), atol=1e-6)


def test_a_graph_that_normalises_becomes_onnx(tmp_path: Path) -> None:
    start = (
        layers.Resizing(8, 8),
        layers.Normalization(mean=[90.0, 120, 150], variance=[900.0] * 3),
    )
    end = (layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax"))
    model = network(*start, *end, shape=(12, 12, 3))
    folder = saved(model, tmp_path / "folder")
    source = adopt(folder, facts(normalize="0-255"), tmp_path).source
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(convert(source).SerializeToString())
    (answers,) = session.run(None, {INPUT: images})
    np.testing.assert_allclose(answers, np.asarray(model(images)), atol=1e-5)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "folder"])
def test_a_grouped_convolution_becomes_onnx(name: str, tmp_path: Path) -> None:
    grouped = layers.Conv2D(6, 3, groups=2, strides=2, padding="same")
    model = network(
        layers.Conv2D(4, 3), grouped, layers.Flatten(), layers.Dense(3, activation="softmax")
    )
    source = adopt(saved(model, tmp_path / name), facts(name="mine"), tmp_path).source
    expected = np.asarray(model(TENSORS))
    np.testing.assert_allclose(source.scores(TENSORS), expected, atol=1e-5)
    session = onnxruntime.InferenceSession(convert(source).SerializeToString())
    (answers,) = session.run(None, {INPUT: TENSORS})
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_tensors_from_outside_become_constants(tmp_path: Path) -> None:
    """Such as the places of a transformer; beside a layer that is a function of its own."""
    places = keras.ops.convert_to_tensor(np.arange(432, dtype=np.float32) / 432)
    image = keras.Input(SMALL)
    grouped = layers.Conv2D(6, 3, groups=2, padding="same")(layers.Conv2D(4, 3)(image))
    flat = layers.Flatten()(grouped)[:, :144] * places[:144]
    model = keras.Model(image, layers.Dense(3, activation="softmax")(flat))
    source = adopt(saved(model, tmp_path / "m.keras"), facts(), tmp_path).source
    (planned,) = plan(choose(["float32.tflite"])).artifacts
    file = TFLiteFile(Conversion(source, TENSORS).flatbuffer(planned))
    found = np.concatenate([*file.answers(TENSORS)])
    np.testing.assert_allclose(found, np.asarray(model(TENSORS)), atol=1e-5)
    session = onnxruntime.InferenceSession(convert(source).SerializeToString())
    assert [each.name for each in session.get_inputs()] == [INPUT]
    (answers,) = session.run(None, {INPUT: TENSORS})
    np.testing.assert_allclose(answers, np.asarray(model(TENSORS)), atol=1e-5)


def test_what_was_adopted_with_code_is_not_loaded_without_a_word(tmp_path: Path) -> None:
    path = _lambda(tmp_path / "m.keras")
    source = adopt(path, facts(name="own"), tmp_path, allow_unsafe=True).source
    with pytest.raises(ModelError, match=r"own\.keras holds a Lambda layer .*--allow-unsafe"):
        load_keras(source.path)
    with pytest.raises(EngineError, match="holds a Lambda layer"):
        measure(keras_engine(), source.path, TENSORS, timed={})
    found = measure(keras_engine(allow_unsafe=True), source.path, TENSORS, timed={})
    np.testing.assert_allclose(found.outputs, np.asarray(source.model(TENSORS)), atol=1e-5)


def test_a_bundle_with_code_is_measured_where_it_is_allowed(
    drawn: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    monkeypatch.setattr(benchmark, "SECONDS", 0.1)
    path = _lambda(tmp_path / "m.keras")
    source = adopt(path, facts(name="own"), tmp_path, allow_unsafe=True).source
    images = replace(drawn, images=drawn.images[:8], labels=np.arange(8) % 3)
    export_bundle(
        source,
        tmp_path / "bundle",
        plan=plan(choose(["float32.onnx"])),
        calibration=CalibrationImages("eight", drawn.images[8:16]),
        images=images,
        golden=drawn.images[:2],
    )
    engines = choose_engines(["onnxruntime"])
    with pytest.raises(BundleError, match="holds a Lambda layer"):
        measure_matrix(tmp_path / "bundle", images, engines)
    assert measure_matrix(tmp_path / "bundle", images, engines, allow_unsafe=True).passed
    timed = benchmark.run_benchmark(tmp_path / "bundle", images, allow_unsafe=True)
    assert {speed.name for speed in timed.speeds} == {"float32.onnx", "keras"}


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = saved(usual(), tmp_path / "model.h5")
    first = adopt(path, facts(), _new(tmp_path / "first")).source
    keras.backend.clear_session()
    assert adopt(path, facts(), _new(tmp_path / "second")).source.sha256 == first.sha256


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _subclassed() -> Any:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3, activation="softmax")

        def call(self, image: Any) -> Any:
            return self.dense(keras.ops.mean(image, axis=(1, 2)))

    model = Own()
    model(TENSORS)
    return model


def test_a_subclassed_network_comes_as_a_folder(tmp_path: Path) -> None:
    model = _subclassed()
    with pytest.raises(ModelError, match="code of 'Own'") as caught:
        adopt(saved(model, tmp_path / "own.keras"), facts(), tmp_path)
    assert "model.export" in caught.value.hint
    adopted = adopt(saved(model, tmp_path / "own"), facts(), tmp_path)
    expected = np.asarray(model(TENSORS))
    np.testing.assert_allclose(adopted.source.scores(TENSORS), expected, atol=1e-6)


def _vector() -> Any:
    return network(layers.Dense(3, activation="softmax"), shape=(144,))


def _matrix() -> Any:
    return network(layers.Flatten(), layers.Dense(3, activation="softmax"), shape=(12, 12))


def _bytes() -> Any:
    image = keras.Input(SMALL, dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def _any_size() -> Any:
    parts = (layers.Resizing(8, 8), layers.RandomFlip(), layers.RandomRotation(0.1))
    end = (layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax"))
    return network(*parts, layers.Conv2D(2, 3), *end, shape=(None, None, 1))


@pytest.mark.parametrize(
    ("make", "flat", "given"),
    [
        (_vector, (-1, 144), {}),  # the first network of many a tutorial
        (_matrix, (-1, 12, 12), {}),  # the second
        (_bytes, (-1, 12, 12, 1), {"normalize": "0-255"}),
        (_any_size, (-1, 12, 12, 1), {"input_size": (12, 12)}),
    ],
)
def test_other_inputs_become_images(
    make: Callable[[], Any], flat: tuple[int, ...], given: dict[str, Any], tmp_path: Path
) -> None:
    model = make()
    source = adopt(saved(model, tmp_path / "model.keras"), facts(**given), tmp_path).source
    tensors = np.rint(TENSORS * 255).astype(np.float32)
    expected = np.asarray(model(tensors.reshape(flat), training=False))
    np.testing.assert_allclose(source.scores(tensors), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("units", "activation", "output", "said"),
    [
        (3, "softmax", "softmax", "output softmax"),
        (3, None, "logits", "output logits"),
        (3, "sigmoid", "softmax", "output one sigmoid for each label"),
        (1, "sigmoid", "softmax", "one sigmoid, made two probabilities"),
    ],
)
def test_outputs_are_told_by_what_they_answer(
    units: int, activation: str | None, output: str, said: str, tmp_path: Path
) -> None:
    model = usual(units, activation)
    path = saved(model, tmp_path / "model.keras")
    adopted = adopt(path, facts(max(units, 2)), tmp_path)
    assert (adopted.source.spec.output, adopted.filled[-1]) == (output, said)
    scores, raw = adopted.source.scores(TENSORS), np.asarray(model(TENSORS))
    if units == 1:
        np.testing.assert_allclose(scores, np.hstack([1 - raw, raw]), atol=1e-6)
    else:
        np.testing.assert_array_equal(scores.argmax(axis=1), raw.argmax(axis=1))


def test_one_logit_is_known_by_its_loss(tmp_path: Path) -> None:
    model = usual(1, None)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    source = adopt(saved(model, tmp_path / "model.keras"), facts(2), tmp_path).source
    probability = 1 / (1 + np.exp(-np.asarray(model(TENSORS))))
    np.testing.assert_allclose(source.scores(TENSORS)[:, 1:], probability, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "filled"),
    [
        (layers.Rescaling(1 / 255), 255),
        (layers.Rescaling(1 / 127.5, offset=-1), 255),
        (layers.Rescaling(2.0, offset=-1), 1),
        (layers.Normalization(mean=128.0, variance=50.0**2), 255),
        (layers.Normalization(mean=0.13, variance=0.3**2), 1),
    ],
)
def test_scaling_inside_is_seen(layer: Any, filled: float, tmp_path: Path) -> None:
    model = network(layer, layers.Flatten(), layers.Dense(3, activation="softmax"))
    path = saved(model, tmp_path / "model.keras")
    source = adopt(path, facts(normalize=None), tmp_path).source
    ramp = np.arange(144, dtype=np.uint8).reshape(12, 12)
    tensor = preprocess(ramp, source.spec)
    np.testing.assert_allclose(tensor[:, :, 0], ramp * (filled / 255), rtol=1e-6)


def test_a_graph_split_over_files_is_not_read(tmp_path: Path) -> None:
    """TensorFlow would read the other file, which was not looked at."""
    folder = saved(usual(), tmp_path / "folder")
    (folder / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(ModelError, match=r"holds a saved_model\.cpb"):
        adopt(folder, facts(), tmp_path)


def test_pixels_are_not_scaled_twice(tmp_path: Path) -> None:
    path = saved(_bytes(), tmp_path / "model.keras")
    with pytest.raises(SpecError) as caught:
        adopt(path, facts(normalize="0-1"), tmp_path)
    for part in ("scales pixels itself", "allowed: 0-255", "leave --normalize out"):
        assert part in str(caught.value)
    assert adopt(path, facts(normalize="0-255"), tmp_path).source.spec.preprocess.std == 1 / 255


def test_all_that_is_missing_is_asked_for_at_once(tmp_path: Path) -> None:
    end = (layers.GlobalAveragePooling2D(), layers.Dense(3))
    model = network(layers.Conv2D(2, 3), *end, shape=(None, None, 3))
    with pytest.raises(SpecError) as caught:
        adopt(saved(model, tmp_path / "model.keras"), ModelFacts(), tmp_path)
    for option in ("--labels", "--input-size", "--normalize"):
        assert option in str(caught.value)
    assert "--channels" not in str(caught.value), "the model says it"
    assert "\n" not in str(caught.value)


def _two_inputs(path: Path) -> Path:
    one, two = keras.Input(SMALL, name="left"), keras.Input(SMALL, name="right")
    return saved(keras.Model([one, two], layers.Flatten()(one + two)), path)


def _regression(path: Path) -> Path:
    return saved(usual(1, None), path)


def _boxes(path: Path) -> Path:
    model = usual(4, None)
    model.compile("adam", "mse")
    return saved(model, path)


def _channels_first(path: Path) -> Path:
    return saved(network(layers.Flatten(), layers.Dense(3), shape=(1, 12, 12)), path)


def _not_a_number(path: Path) -> Path:
    model = usual()
    model.set_weights([weights * np.nan for weights in model.get_weights()])
    return saved(model, path)


def _augmenting_graph(path: Path) -> Path:
    """What Keras 3 exports of augmentation layers goes on turning images."""
    return saved(network(layers.RandomRotation(0.5), layers.Flatten(), layers.Dense(3)), path)


def _weights_alone(path: Path) -> Path:
    usual().save_weights(path.with_suffix(".weights.h5"))
    return path.with_suffix(".weights.h5")


def _lambda(path: Path) -> Path:
    return saved(
        network(layers.Lambda(lambda image: image * 2), layers.Flatten(), layers.Dense(3)), path
    )


def _nested_lambda(path: Path) -> Path:
    inner = network(layers.Lambda(lambda image: image * 2))
    return saved(network(inner, layers.Flatten(), layers.Dense(3)), path)


def _lambda_activation(path: Path) -> Path:
    first = layers.Conv2D(2, 3, activation=lambda values: values * 2)
    return saved(network(first, layers.Flatten(), layers.Dense(3)), path)


def _quantized(path: Path) -> Path:
    model = usual()
    model.quantize("int8")
    return saved(model, path)


def _of_halves(path: Path, policy: str = "float16") -> Path:
    keras.config.set_dtype_policy(policy)
    try:
        return saved(usual(), path)
    finally:
        keras.config.set_dtype_policy("float32")


def _of_brain_floats(path: Path) -> Path:
    return _of_halves(path, "bfloat16")


def _graph_of_halves(path: Path) -> Path:
    return _of_halves(path, "mixed_float16")


def _lambda_initializer(path: Path) -> Path:
    dense = layers.Dense(3, kernel_initializer=lambda shape, dtype: np.ones(shape))
    return saved(network(layers.Flatten(), dense), path)


def _text(path: Path) -> Path:
    path.write_text("no model here", encoding="utf-8")
    return path


def _reading_graph(path: Path) -> Path:
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(
        lambda image: {"out": tf.strings.length(tf.io.read_file("/etc/passwd")) + image},
        input_signature=[tf.TensorSpec((None, 12, 12, 1), tf.int32)],
    )
    folder = path.with_suffix("")
    tf.saved_model.save(module, folder, {"serving_default": module.serve})
    return folder


def _one_at_a_time(path: Path) -> Path:
    """What tf.saved_model.save makes of a subclassed model that was called with one image."""
    import tensorflow as tf

    module = tf.Module()
    module.dense = tf.Variable(np.ones((144, 3), np.float32))
    module.serve = tf.function(
        lambda image: {"out": tf.nn.softmax(tf.reshape(image, (-1, 144)) @ module.dense)},
        input_signature=[tf.TensorSpec((1, 12, 12, 1), tf.float32)],
    )
    tf.saved_model.save(module, path, {"serving_default": module.serve})
    return path


def _printing_graph(path: Path) -> Path:
    """It writes a file each time that it answers."""
    import tensorflow as tf

    dense = tf.Variable(np.ones((144, 3), np.float32))
    module = tf.Module()
    module.dense = dense

    @tf.function(input_signature=[tf.TensorSpec((None, 12, 12, 1), tf.float32)])
    def serve(image: Any) -> Any:
        tf.print("read", output_stream=f"file://{path.parent / 'printed.txt'}")
        return {"out": tf.nn.softmax(tf.reshape(image, (-1, 144)) @ dense)}

    module.serve = serve
    tf.saved_model.save(module, path, {"serving_default": serve})
    return path


@pytest.mark.parametrize(
    ("make", "name", "says"),
    [
        (_two_inputs, "m.keras", "2 inputs (left, right)"),
        (_two_inputs, "m", "2 inputs (left, right)"),
        (_one_at_a_time, "m", "the SavedModel m takes batches of exactly 1"),
        (_regression, "m.keras", "regression head (1 unbounded number)"),
        (_boxes, "m.h5", "regression head (4 unbounded numbers, trained with mse)"),
        (_channels_first, "m.keras", "channels last"),
        (_not_a_number, "m.keras", "NaN"),
        (_augmenting_graph, "m", "augmentation is at work in it"),
        (_weights_alone, "m.h5", "holds weights, but no network"),
        (_lambda, "m.keras", "holds a Lambda layer"),
        (_lambda, "m.h5", "holds a Lambda layer"),
        (_nested_lambda, "m.keras", "holds a Lambda layer"),
        (_nested_lambda, "m.h5", "holds a Lambda layer"),
        (_lambda_activation, "m.keras", "Python code in place of the name of its activation"),
        (_quantized, "m.keras", "quantized already"),
        (_of_halves, "m.keras", "is of float16"),
        (_of_brain_floats, "m.keras", "is of bfloat16"),
        (_lambda_initializer, "m.keras", "holds a Lambda layer"),
        (_graph_of_halves, "m", "computes in float16"),
        (_text, "m.h5", "no HDF5 file"),
        (_text, "m.keras", "no Keras model"),
        (_reading_graph, "m", "not known only to compute (ReadFile, StringLength)"),
        (_printing_graph, "m", "not known only to compute (PrintV2, StringFormat)"),
    ],
)
def test_what_is_no_classifier_of_images(
    make: Callable[[Path], Path], name: str, says: str, tmp_path: Path
) -> None:
    path = make(tmp_path / name)
    folder = _new(tmp_path / "new")
    with pytest.raises(HcrError) as caught:
        adopt(path, facts(), folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "printed.txt").exists()


@pytest.mark.parametrize(
    ("make", "name"), [(_lambda, "m.keras"), (_lambda, "m.h5"), (_printing_graph, "m")]
)
def test_code_runs_when_it_is_allowed(
    make: Callable[[Path], Path], name: str, tmp_path: Path
) -> None:
    path = make(tmp_path / name)
    source = adopt(path, facts(name="own"), tmp_path, allow_unsafe=True).source
    assert isinstance(source, KerasFile)
    with pytest.raises(ModelError, match=r"Lambda|objects could not be loaded"):
        load_keras(source.path)
    assert load_keras(source.path, allow_unsafe=True).spec == source.spec


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"count": 4}, "tells 3 classes apart, and 4 labels are given"),
        ({"input_size": (28, 28)}, "height is 28; allowed: 12, as in the model"),
        ({"channels": 3}, "channels is 3; allowed: 1, as in the model"),
        ({"normalize": "0-2"}, "normalize is '0-2'"),
        ({"normalize": "0.5/0.5/0.5,1"}, "one number, or one for each channel"),
        ({"normalize": "nan,1"}, "normalize is 'nan,1'"),
        ({"normalize": "0.5,0"}, "preprocess.std is 0.0"),
        ({"fit": "center", "polarity": "as-is"}, "preprocess.polarity is as-is"),
    ],
)
def test_facts_that_contradict_the_model(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = saved(usual(), tmp_path / "model.keras")
    with pytest.raises(SpecError) as caught:
        adopt(path, facts(**given), tmp_path)
    assert says in str(caught.value)


def test_one_of_ours_is_known_by_its_description(source: KerasFile, tmp_path: Path) -> None:
    assert has_spec(source.path)
    assert not has_spec(saved(usual(), tmp_path / "model.keras"))
    assert not has_spec(_text(tmp_path / "text.keras"))
    assert not has_spec(tmp_path)


def test_normalisation_by_channel_reaches_the_tensor(tmp_path: Path) -> None:
    end = (layers.Flatten(), layers.Dense(3, activation="softmax"))
    path = saved(network(*end, shape=(12, 12, 3)), tmp_path / "model.keras")
    text = "0.485/0.456/0.406,0.229/0.224/0.225"
    spec = adopt(path, facts(normalize=text), tmp_path).source.spec
    bgr = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    encoded = bytes(cv2.imencode(".png", bgr)[1])
    mean, std = (np.asarray(level) for level in parse_normalize(text))
    expected = (bgr[:, :, ::-1] / 255 - mean) / std
    np.testing.assert_allclose(preprocess(encoded, spec), expected, atol=1e-5)
