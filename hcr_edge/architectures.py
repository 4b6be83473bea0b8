"""Networks by name, in backend-neutral Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hcr_edge.errors import RecipeError
from hcr_export._keras import keras
from hcr_runtime.errors import nearest
from hcr_runtime.spec import OutputKind

Shape = tuple[int, int, int]
Builder = Callable[[Shape, int], keras.Model]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network: `build` takes (height, width, channels) and the number of classes."""

    name: str
    output: OutputKind
    summary: str
    build: Builder


def find_architecture(name: str) -> Architecture:
    """Return the architecture called `name`; raises `RecipeError` naming the nearest."""
    if name not in ARCHITECTURES:
        raise RecipeError(
            f"there is no architecture {name!r}", allowed=nearest(name, ARCHITECTURES)
        )
    return ARCHITECTURES[name]


def _ahcd_baseline(shape: Shape, classes: int) -> keras.Model:
    image = keras.Input(shape, name="image")
    x = keras.layers.Conv2D(32, 5, activation="relu")(image)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(64, 5, activation="relu")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(1024, activation="relu")(x)
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x))


def _conv_stack(dropout: float) -> Builder:
    """Three convolutions, each normalised and pooled, then dropped out by `dropout` if any."""

    def build(shape: Shape, classes: int) -> keras.Model:
        image = x = keras.Input(shape, name="image")
        for filters in (32, 64, 128):
            x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = keras.layers.BatchNormalization()(x)
            x = keras.layers.MaxPooling2D(2)(x)
            if dropout:
                x = keras.layers.Dropout(dropout)(x)
        return _dense_head(image, x, 256, 0.5, classes)

    return build


def _custom_cnn(shape: Shape, classes: int) -> keras.Model:
    image = x = keras.Input(shape, name="image")
    for filters, dropout in ((32, 0.1), (64, 0.2), (128, 0.3)):
        for _ in range(2):
            x = keras.layers.ReLU()(_conv_bn(x, filters, 3))
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Conv2D(192, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return _dense_head(image, x, 256, 0.4, classes)


def _vgg(shape: Shape, classes: int) -> keras.Model:
    """Blocks of two 3x3 convolutions without normalisation (Simonyan, Zisserman 2014)."""
    image = x = keras.Input(shape, name="image")
    for filters in (32, 64, 128):
        for _ in range(2):
            x = keras.layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_initializer="he_uniform"
            )(x)
        x = keras.layers.MaxPooling2D(2)(x)
    return _dense_head(image, x, 192, 0.5, classes)


def _lenet5(shape: Shape, classes: int) -> keras.Model:
    """LeCun, Bottou, Bengio, Haffner 1998, with a softmax in place of the Gaussian outputs."""
    image = keras.Input(shape, name="image")
    x = keras.layers.Conv2D(6, 5, activation="tanh")(image)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Conv2D(16, 5, activation="tanh")(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(120, activation="tanh")(x)
    x = keras.layers.Dense(84, activation="tanh")(x)
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x))


def _dense_head(
    image: keras.KerasTensor, x: keras.KerasTensor, units: int, dropout: float, classes: int
) -> keras.Model:
    if len(x.shape) > 2:
        x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(units, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x))


# What the layers are called that nothing trains.
_BLUR = "blur"


def _blur_pool(x: keras.KerasTensor, number: int) -> keras.KerasTensor:
    """Blur maxima before they are sampled: strokes a pixel aside give much the same.

    Zhang 2019, "Making convolutional networks shift-invariant again". A convolution that is not
    trained takes the means: int8 engines run it several times as fast as average pooling.
    """
    x = keras.layers.MaxPooling2D(2, strides=1, padding="same")(x)
    mean = keras.layers.DepthwiseConv2D(
        2,
        strides=2,
        use_bias=False,
        depthwise_initializer=keras.initializers.Constant(1 / 4),
        name=f"{_BLUR}_{number}",
    )
    mean.trainable = False
    return mean(x)


def _edge(
    stem: int, stages: tuple[int, ...], dropout: float = 0.2, blurred: bool = False
) -> Builder:
    """Residual stages behind pooling; only operators that fold and quantize well.

    Where pooling is `blurred` the first is not: there it would cost as much as a stage.
    """

    def build(shape: Shape, classes: int) -> keras.Model:
        image = keras.Input(shape, name="image")
        x = keras.layers.ReLU()(_conv_bn(image, stem, 3))
        for number, filters in enumerate(stages):
            x = _blur_pool(x, number) if blurred and number else keras.layers.MaxPooling2D(2)(x)
            shortcut = _conv_bn(x, filters, 1)
            x = keras.layers.ReLU()(_conv_bn(x, filters, 3))
            x = keras.layers.ReLU()(keras.layers.Add()([_conv_bn(x, filters, 3), shortcut]))
        x = keras.layers.GlobalAveragePooling2D()(x)
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
        return keras.Model(image, keras.layers.Dense(classes)(x))

    return build


def transfer(body: keras.Model, classes: int) -> keras.Model:
    """Put a new head of `classes` logits on a trained body, which is frozen.

    The body's layers stand in the new network itself, so that it exports like any other.

    Args:
        body: A network from image to features, float32 (N, features).
        classes: The outputs of the new head.
    """
    for layer in body.layers:
        layer.trainable = False
    x = keras.layers.Dropout(0.2, name="new_dropout")(body.outputs[0])
    return keras.Model(body.inputs[0], keras.layers.Dense(classes, name="new_head")(x))


def thaw(model: keras.Model) -> None:
    """Let all layers learn but what blurs."""
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(_BLUR)


def body_of(model: keras.Model) -> keras.Model:
    """Return a classifier without its head, a dense layer behind dropout or not: (N, features)."""
    last = model.layers[-1]
    if isinstance(model.layers[-2], keras.layers.Dropout):
        last = model.layers[-2]
    return keras.Model(model.inputs[0], last.input)


APPLICATIONS = {
    "mobilenet_v2": lambda image, weights: keras.applications.MobileNetV2(
        input_tensor=image, alpha=0.35, include_top=False, pooling="avg", weights=weights
    ),
}
"""Networks of `keras.applications` that can lend their bodies: RGB in -1 to 1."""


def application_body(name: str, shape: Shape, weights: str | None = "imagenet") -> keras.Model:
    """Return the body of a network of `keras.applications`, from grey ink to features.

    Args:
        name: One of `APPLICATIONS`.
        shape: (height, width, 1) of the ink tensor, 0 to 1.
        weights: ``imagenet``, which Keras downloads, or None for random ones.

    Raises:
        RecipeError: There is no such network, or its weights cannot be had.
    """
    if name not in APPLICATIONS:
        raise RecipeError(f"there is no application {name!r}", allowed=", ".join(APPLICATIONS))
    image = keras.Input(shape, name="image")
    # Photographs are larger than glyphs: the first strides would leave nothing of 32 pixels.
    x = keras.layers.UpSampling2D(3, interpolation="bilinear")(image)
    x = keras.layers.Concatenate()([x, x, x])
    x = keras.layers.Rescaling(-2.0, offset=1.0)(x)  # dark ink on white paper
    try:
        application = APPLICATIONS[name](x, weights)
    except Exception as error:  # Keras raises what the network, or the file, caused
        raise RecipeError(
            f"the weights {weights!r} of {name} cannot be had ({error})",
            hint="Keras downloads them once, or start from one of our checkpoints",
        ) from error
    return keras.Model(image, application.outputs[0])


def _transfer(shape: Shape, classes: int) -> keras.Model:
    return transfer(application_body("mobilenet_v2", shape, weights=None), classes)


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
            "ahcd-bn",
            "softmax",
            "3 convolutions, each normalised and pooled, dense 256",
            _conv_stack(0.0),
        ),
        Architecture(
            "custom-cnn", "softmax", "3 blocks of 2 normalised convolutions, dense 256", _custom_cnn
        ),
        Architecture("vgg", "softmax", "3 blocks of 2 convolutions 3x3, dense 192", _vgg),
        Architecture("transfer", "logits", "a trained body under a new head", _transfer),
        Architecture("lenet5", "softmax", "LeCun, Bottou, Bengio, Haffner 1998", _lenet5),
        Architecture(
            "emnist-cnn",
            "softmax",
            "3 convolutions, normalised, pooled, dropout",
            _conv_stack(0.25),
        ),
        Architecture(
            "edge-nano",
            "logits",
            "residual, 17 k parameters, pooling blurred: microcontrollers",
            # So small a network has no dropout to spare.
            _edge(8, (12, 18, 22), dropout=0.0, blurred=True),
        ),
        Architecture("edge-xs", "logits", "residual, 67 k parameters", _edge(16, (24, 36, 48))),
        Architecture(
            "edge-s",
            "logits",
            "residual, 121 k parameters, pooling blurred",
            _edge(24, (32, 48, 62), blurred=True),
        ),
        Architecture("edge-m", "logits", "residual, 389 k parameters", _edge(32, (48, 80, 128))),
    )
}
