"""SavedModel folders, of Keras 2 and of ``model.export``: a graph with its numbers, and no code.

The graph becomes one layer, so that it is measured and converted like any other model. The layer
keeps the folder's files in the ``.keras`` file that it is saved in.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from hcr_export._keras import keras
from hcr_export._quiet import quiet
from hcr_export.graph_operations import GRAPH_FILE, check_graph
from hcr_runtime import ModelError

ENDPOINT = "serving_default"
_COMPILED = "_XlaMustCompile"
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


def is_saved_model(path: Path) -> bool:
    """Whether `path` is a SavedModel folder."""
    return (path / GRAPH_FILE).is_file()


@contextmanager
def trusting_graphs(trusted: bool) -> Iterator[None]:
    """Load SavedModels in ``.keras`` files unchecked in here, if `trusted`.

    Keras tells a layer that is loaded nothing of its safe mode.
    """
    token = _trusted.set(trusted)
    try:
        yield
    finally:
        _trusted.reset(token)


@keras.saving.register_keras_serializable("hcr_edge")
class SavedGraph(keras.layers.Layer):
    """The serving function of a SavedModel as a layer.

    Args:
        input_shape_: Shape of its input with the batch axis, unknown lengths as None.
        output_shape_: The same of its output.
        **kwargs: As for every layer.
    """

    def __init__(self, input_shape_: Any, output_shape_: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_shape_, self.output_shape_ = input_shape_, output_shape_
        self._files: dict[str, bytes] = {}
        self._function: Any = None

    def read(self, folder: Path) -> None:
        """Load the graph and keep the folder's files."""
        from hcr_export._tensorflow import tf

        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        # Loaded from a copy of what is kept: both are the same, whatever happens to the folder.
        with tempfile.TemporaryDirectory(prefix="hcr-edge-") as copy:
            self.save_assets(copy)
            _uncompile(Path(copy, GRAPH_FILE))
            with quiet():
                self._loaded = tf.saved_model.load(copy)
        self._function = self._loaded.signatures[ENDPOINT]

    def call(self, image: Any) -> Any:
        """Run the graph."""
        from hcr_export._tensorflow import call_contained

        (name,) = self._function.structured_input_signature[1]
        (output,) = call_contained(self._function, **{name: image}).values()
        return output

    def compute_output_spec(self, image: Any, **_: Any) -> Any:
        """Return the output's shape, also before the graph is loaded."""
        return keras.KerasTensor(self.output_shape_, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        shapes = {"input_shape_": self.input_shape_, "output_shape_": self.output_shape_}
        return {**super().get_config(), **shapes}

    def save_assets(self, folder: str) -> None:
        """Write the SavedModel's files."""
        for name, data in self._files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def load_assets(self, folder: str) -> None:
        """Read the SavedModel's files."""
        if not _trusted.get():
            check_graph(Path(folder))
        self.read(Path(folder))


def _uncompile(graph_file: Path) -> None:
    """Let no function of a graph be compiled apart: converters do not look into such.

    Keras wraps grouped convolutions so.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString(graph_file.read_bytes())
    for meta in saved.meta_graphs:
        functions = meta.graph_def.library.function
        nodes = (node for function in functions for node in function.node_def)
        for part in (*functions, *nodes, *meta.graph_def.node):
            part.attr.pop(_COMPILED, None)
    graph_file.write_bytes(saved.SerializeToString())


def load_saved_model(folder: Path, allow_unsafe: bool = False) -> Any:
    """Load a SavedModel as a Keras model with one layer.

    Args:
        folder: The folder, with ``saved_model.pb`` in it.
        allow_unsafe: Load also a graph that may do more than compute.

    Raises:
        ModelError: It is damaged, has no function from one image to one vector, or is unsafe.
    """
    from hcr_export._tensorflow import tf

    if not allow_unsafe:
        check_graph(folder)
    try:
        with quiet():
            signatures = tf.saved_model.load(str(folder)).signatures
    except Exception as error:  # its reader raises whatever the files make it meet
        reason = str(error).strip().partition("\n")[0][:160]
        raise ModelError(f"{folder.name} is a damaged SavedModel ({reason})") from error
    if ENDPOINT not in signatures:
        raise ModelError(
            f"the SavedModel {folder.name} has no function {ENDPOINT!r}",
            allowed=f"a classifier saved by Keras (it has: {', '.join(signatures) or 'none'})",
        )
    function = signatures[ENDPOINT]
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{folder.name} has {counted(len(inputs), 'input')} ({', '.join(sorted(inputs))})"
            f" and {counted(len(outputs), 'output')}",
            allowed="a classifier of one image, with one output",
        )
    if half := _half_in(function):
        raise ModelError(
            f"{folder.name} computes in {half}, which not all engines can",
            allowed="a graph in float32",
            hint="save the model as .keras: there mixed precision is taken back",
        )
    (image,), (scores,) = inputs.values(), outputs.values()
    shapes = [tuple(part.shape) if part.shape.rank else () for part in (image, scores)]
    if shapes[0] and shapes[0][0] is not None:
        raise ModelError(
            f"the SavedModel {folder.name} takes batches of exactly {shapes[0][0]}",
            allowed="one of any number of images",
            hint="save it again with model.export('folder')",
        )
    layer = SavedGraph(*shapes, name="saved_graph")
    layer.read(folder)
    tensor = keras.Input(batch_shape=shapes[0], dtype=image.dtype.name, name="image")
    return keras.Model(tensor, layer(tensor))


def counted(number: int, name: str) -> str:
    """A number of things, in words.

    >>> counted(1, "input"), counted(2, "input")
    ('1 input', '2 inputs')
    """
    return f"{number} {name}{'' if number == 1 else 's'}"


def _half_in(function: Any) -> str:
    """Which type of 16 bits an operation of a concrete function is of, if any."""
    from hcr_export._tensorflow import nodes, tf

    types = {node.attr["T"].type for node in nodes(function)}
    return next((t.name for t in (tf.float16, tf.bfloat16) if t.as_datatype_enum in types), "")
