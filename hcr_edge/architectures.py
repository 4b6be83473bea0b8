"""Networks by name, in backend-neutral Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hcr_edge.errors import RecipeError
from hcr_export._keras import keras
from hcr_runtime.errors import nearest
from hcr_runtime.spec import OutputKind


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network: `build` takes (height, width, channels) and the number of classes."""

    name: str
    output: OutputKind
    summary: str
    build: Callable[[tuple[int, int, int], int], keras.Model]


def find_architecture(name: str) -> Architecture:
    """Return the architecture called `name`; raises `RecipeError` naming the nearest."""
    if name not in ARCHITECTURES:
        raise RecipeError(
            f"there is no architecture {name!r}", allowed=nearest(name, ARCHITECTURES)
        )
    return ARCHITECTURES[name]


def _ahcd_baseline(shape: tuple[int, int, int], classes: int) -> keras.Model:
    image = keras.Input(shape, name="image")
    x = keras.layers.Conv2D(32, 5, activation="relu")(image)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(64, 5, activation="relu")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(1024, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x))


def _edge_s(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Residual stages behind pooling; only operators that fold and quantize well."""
    image = keras.Input(shape, name="image")
    x = _conv_bn(image, 24, 3)
    x = keras.layers.ReLU()(x)
    for filters in (32, 56, 80):
        x = keras.layers.MaxPooling2D(2)(x)
        shortcut = _conv_bn(x, filters, 1)
        x = keras.layers.ReLU()(_conv_bn(x, filters, 3))
        x = keras.layers.ReLU()(keras.layers.Add()([_conv_bn(x, filters, 3), shortcut]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(image, keras.layers.Dense(classes)(x))


def _conv_bn(x: keras.KerasTensor, filters: int, size: int) -> keras.KerasTensor:
    x = keras.layers.Conv2D(filters, size, padding="same", use_bias=False)(x)
    return keras.layers.BatchNormalization()(x)


ARCHITECTURES = {
    item.name: item
    for item in (
        Architecture(
            "ahcd-baseline",
            "softmax",
            "2 convolutions 5x5 (32, 64), dense 1024: El-Sawy, Loey, El-Bakry 2017",
            _ahcd_baseline,
        ),
        Architecture(
            "edge-s", "logits", "small residual network, 170 k parameters, int8-friendly", _edge_s
        ),
    )
}
