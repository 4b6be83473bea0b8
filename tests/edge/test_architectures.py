from __future__ import annotations

import numpy as np
import pytest

from hcr_edge.architectures import ARCHITECTURES, find_architecture, thaw
from hcr_edge.checkpoints import find_checkpoint, shipped_checkpoints
from hcr_edge.errors import RecipeError
from hcr_export._keras import keras
from hcr_export.keras_file import load_keras
from hcr_runtime import ModelError

SHAPE = (32, 32, 1)
# Layers whose operators fold or quantize in every engine that is meant to run them.
INT8_FRIENDLY = {
    "InputLayer",
    "Conv2D",
    "BatchNormalization",
    "ReLU",
    "MaxPooling2D",
    "DepthwiseConv2D",
    "Add",
    "GlobalAveragePooling2D",
    "Dropout",
    "Dense",
}


def test_baseline_is_the_published_network() -> None:
    """El-Sawy, Loey, El-Bakry 2017, layer by layer."""
    model = find_architecture("ahcd-baseline").build(SHAPE, 28)
    found = [(type(layer).__name__, layer.output.shape[1:]) for layer in model.layers]
    assert found == [
        ("InputLayer", (32, 32, 1)),
        ("Conv2D", (28, 28, 32)),
        ("MaxPooling2D", (14, 14, 32)),
        ("Conv2D", (10, 10, 64)),
        ("MaxPooling2D", (5, 5, 64)),
        ("Flatten", (1600,)),
        ("Dense", (1024,)),
        ("Dense", (28,)),
    ]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(layer.kernel_size, layer.strides, layer.padding) for layer in convolutions] == [
        ((5, 5), (1, 1), "valid"),
    ] * 2
    assert [layer.pool_size for layer in model.layers if hasattr(layer, "pool_size")] == [
        (2, 2)
    ] * 2
    activations = [layer.activation.__name__ for layer in model.layers if hasattr(layer, "units")]
    assert activations == ["relu", "softmax"]
    assert [layer.activation.__name__ for layer in convolutions] == ["relu", "relu"]
    assert all(layer.use_bias for layer in model.layers if hasattr(layer, "use_bias"))
    # By hand: 832 + 51 264 + 1 639 424 + 28 700.
    assert model.count_params() == 1_720_220


@pytest.mark.parametrize(
    ("name", "most"),
    [("edge-nano", 20_000), ("edge-xs", 75_000), ("edge-s", 130_000), ("edge-m", 400_000)],
)
def test_the_edge_family_is_small_and_int8_friendly(name: str, most: int) -> None:
    model = find_architecture(name).build(SHAPE, 28)
    assert {type(layer).__name__ for layer in model.layers} <= INT8_FRIENDLY
    assert most / 2 < model.count_params() <= most
    assert any(type(layer).__name__ == "Add" for layer in model.layers), "it is residual"
    # Batch normalisation folds only into a linear convolution right before it.
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.activation.__name__ == "linear"
            assert not layer.use_bias


def test_what_blurs_is_never_trained() -> None:
    """Also not where the body of a trained network is frozen, and thawed later."""
    model = find_architecture("edge-s").build(SHAPE, 28)
    trained = [weight.path for weight in model.trainable_weights]
    (means,) = {type(layer) for layer in model.layers if layer.name.startswith("blur")}
    assert means is keras.layers.DepthwiseConv2D
    for layer in model.layers:
        layer.trainable = False
    assert not model.trainable_weights
    thaw(model)
    assert [weight.path for weight in model.trainable_weights] == trained
    assert not any("blur" in path for path in trained)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
@pytest.mark.parametrize(("side", "classes"), [(32, 28), (28, 10), (48, 62)])
def test_builds_for_other_inputs_and_classes(name: str, side: int, classes: int) -> None:
    model = find_architecture(name).build((side, side, 1), classes)
    output = np.asarray(model(np.random.default_rng(0).random((3, side, side, 1), np.float32)))
    assert output.shape == (3, classes)
    assert np.isfinite(output).all()


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_says_truly_what_comes_out(name: str) -> None:
    """Training, calibration and every device rely on it."""
    architecture = ARCHITECTURES[name]
    tensors = 5 * np.random.default_rng(0).random((4, *SHAPE), np.float32)
    output = np.asarray(architecture.build(SHAPE, 28)(tensors))
    sums_to_one = bool(np.allclose(output.sum(axis=1), 1, atol=1e-4) and (output >= 0).all())
    assert sums_to_one == (architecture.output == "softmax")


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_same_seed_same_weights(name: str) -> None:
    built = []
    for _ in range(2):
        keras.utils.set_random_seed(4)
        built.append(ARCHITECTURES[name].build(SHAPE, 28).get_weights())
    for first, second in zip(*built, strict=True):
        np.testing.assert_array_equal(first, second)


def test_lenet5_is_the_published_network() -> None:
    """LeCun et al. 1998 on its own 32x32 input, but for the outputs."""
    model = find_architecture("lenet5").build(SHAPE, 10)
    found = [tuple(layer.output.shape[1:]) for layer in model.layers]
    assert found == [
        *((32, 32, 1), (28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)),
        *((400,), (120,), (84,), (10,)),
    ]


@pytest.mark.parametrize("name", ["ahcd-bn", "emnist-cnn", "custom-cnn"])
def test_reference_networks_have_what_their_description_says(name: str) -> None:
    kinds = [type(layer).__name__ for layer in ARCHITECTURES[name].build(SHAPE, 28).layers]
    assert kinds.count("MaxPooling2D") == 3
    assert kinds.count("BatchNormalization") >= 3
    assert "Dropout" in kinds
    assert kinds[-1] == "Dense"


def test_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="'edge'") as caught:
        find_architecture("edge")
    assert "did you mean edge-" in caught.value.allowed


@pytest.mark.parametrize("name", sorted(shipped_checkpoints()))
def test_shipped_checkpoints_are_of_a_known_architecture(name: str) -> None:
    source = load_keras(find_checkpoint(name))
    assert source.spec.name == name
    built = ARCHITECTURES[source.spec.provenance.architecture].build(SHAPE, len(source.spec.labels))
    assert [w.shape for w in source.model.get_weights()] == [w.shape for w in built.get_weights()]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (None, "there is no model"),
        ("folder", "no run folder"),
        ("file.onnx", "is no Keras model"),  # already exported
    ],
)
def test_what_is_no_checkpoint(make: str | None, says: str, tmp_path) -> None:
    path = tmp_path / (make or "arabic-leters")
    if make == "folder":
        path.mkdir()
    elif make:
        path.write_bytes(b"")
    with pytest.raises(ModelError, match=says) as caught:
        find_checkpoint(str(path))
    if make is None:
        assert "did you mean arabic-letters" in caught.value.allowed
