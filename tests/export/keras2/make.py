"""Makes the files in this folder; run once with TensorFlow 2.15, the last with Keras 2.

pip install 'tensorflow==2.15.*' && python make.py
"""

import numpy as np
import tensorflow as tf

keras, layers = tf.keras, tf.keras.layers
RNG = np.random.default_rng(0)


def sequential():
    """No Input layer; layers that lost arguments in Keras 3."""
    return keras.Sequential(
        [
            layers.Conv2D(3, 3, activation="relu", input_shape=(12, 12, 1)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
            layers.LeakyReLU(0.1),
            layers.SeparableConv2D(4, 2),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Dropout(0.2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def arithmetic():
    """Arithmetic between layers, which Keras 2 kept as TFOpLambda."""
    image = keras.Input((12, 12, 1))
    x = 1 - image / 255.0
    x = layers.Conv2D(3, 3, padding="same")(x)
    x = x + tf.nn.relu(x)
    x = layers.Conv2DTranspose(2, 2, strides=2)(x[:, 1:-1])
    x = tf.concat([tf.reduce_mean(x, axis=[1, 2]), tf.reduce_max(x, axis=[1, 2]) * 2.0], axis=-1)
    return keras.Model(image, layers.Dense(3)(x))


def nested():
    """Models inside a model, preprocessing layers, two branches, one sigmoid."""
    augment = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)], name="augment")
    inner = keras.Input((12, 12, 3))
    body = keras.Model(inner, layers.Conv2D(3, 3, activation="swish")(inner), name="body")
    image = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(augment(image))
    x = layers.Concatenate()([body(x), layers.Cropping2D(1)(x)])
    x = layers.add([x, layers.Activation("gelu")(x)])
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(layers.Flatten()(x)))


def main():
    """Write each model as .h5 and .keras, and what it answers."""
    answers = {}
    for build in (sequential, arithmetic, nested):
        keras.utils.set_random_seed(1)
        model = build()
        for weight in model.weights:
            # As after training: no zeros and ones.
            weight.assign(np.abs(weight.numpy() + RNG.normal(0, 0.1, weight.shape)))
        images = (RNG.random((3, *model.input_shape[1:])) * 255).astype(np.float32)
        name = build.__name__
        answers |= {f"{name}_images": images, f"{name}_answers": model.predict(images)}
        model.save(f"{name}.h5", include_optimizer=False)
        model.save(f"{name}.keras")
    np.savez_compressed("answers.npz", **answers)


if __name__ == "__main__":
    main()
