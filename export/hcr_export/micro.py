"""TFLite to C arrays for TensorFlow Lite Micro, which knows no files."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from hcr_export._quiet import quiet
from hcr_export.flatbuffer import Graph, read_edges, read_graph
from hcr_runtime import ModelError, ModelSpec, SpecError

MIN_ENGINE = "TensorFlow Lite Micro with these operators"
_SPEC = re.compile(r"^ \* hcr_edge\.model_spec (\{.*\})$", re.MULTILINE)
_ARRAY = re.compile(r"_model\[\w+\] = \{(.*?)\};", re.DOTALL)
# Steps in which the smallest arena is looked for.
_ARENA_STEP = 16
_C_TYPES = {np.dtype(np.int8): "int8_t", np.dtype(np.uint8): "uint8_t"}


@dataclass(frozen=True, slots=True)
class Arena:
    """Memory that the interpreter needs.

    Attributes:
        size: Bytes.
        how: How that is known.
    """

    size: int
    how: str


def write(model: bytes, spec: ModelSpec, path: Path, header: Path) -> dict[str, Any]:
    """Write a full integer flatbuffer as C source and header.

    Both compile as C99 and as C++11 without warnings.

    Args:
        model: The flatbuffer.
        spec: Its description.
        path: The ``.c`` file.
        header: The ``.h`` file.

    Returns:
        What the manifest says of it: ``arena_bytes``, ``arena``, ``operators``, ``flash_bytes``.
    """
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    name = f"m_{name}" if name[0].isdigit() else name
    graph, arena = read_graph(model), measure_arena(model)
    header.write_text(_header(name, model, spec, graph, arena), encoding="utf-8")
    path.write_text(_source(name, model, spec, header.name), encoding="utf-8")
    return {
        "flash_bytes": len(model),
        "arena_bytes": arena.size,
        "arena": arena.how,
        "operators": list(graph.operators),
    }


def measure_arena(model: bytes) -> Arena:
    """Find the smallest arena in which a model runs; estimate it without TensorFlow Lite Micro.

    Raises:
        ModelError: TensorFlow Lite Micro cannot run the model in any arena.
    """
    estimate = read_graph(model).arena_estimate()
    if _micro_runtime() is None:
        return Arena(
            estimate,
            "estimated from the tensors that live at a time: 'tflite-micro' was not installed",
        )
    enough = estimate
    while not _fits(model, enough):
        enough *= 2
        if enough > 64 * estimate:
            _interpreter(model, enough)  # raises, with the interpreter's words
            raise ModelError("TensorFlow Lite Micro cannot run the model")
    too_small = 0
    while enough - too_small > _ARENA_STEP:
        middle = (too_small + enough) // 2 // _ARENA_STEP * _ARENA_STEP
        if _fits(model, middle):
            enough = middle
        else:
            too_small = middle
    return Arena(
        enough,
        "measured: the smallest in which TensorFlow Lite Micro's reference kernels run it on"
        " x86-64, whose pointers are twice as wide as a microcontroller's; optimized kernels"
        " (CMSIS-NN, ESP-NN) may want scratch memory of their own",
    )


class MicroEngine:
    """Runs the array in a ``.c`` file with TensorFlow Lite Micro's interpreter.

    Where that is not installed, with LiteRT's reference kernels, which round alike but for a step.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        found = _SPEC.search(text)
        if found is None:
            raise SpecError(f"{path.name} has no description inside")
        self.spec = ModelSpec.from_json(found[1])
        model = _read_array(text, path)
        micro = _micro_runtime() is not None
        self.name = "tflite-micro" if micro else "litert (reference kernels)"
        self._input, self._output = read_edges(model)
        self._invoke = _micro_invoke(model) if micro else _reference_invoke(model)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 (N, height, width, channels) to float32 (N, classes)."""
        tensor = self._input.quantized(batch)
        return self._output.dequantized(
            np.concatenate([self._invoke(image[None]) for image in tensor])
        )


def array_bytes(path: Path) -> int:
    """Bytes of the array in a ``.c`` file: what it takes in flash."""
    return len(_read_array(path.read_text(encoding="utf-8"), path))


def _read_array(text: str, path: Path) -> bytes:
    found = _ARRAY.search(text)
    if found is None:
        raise ModelError(f"{path.name} holds no model")
    return bytes(int(number, 16) for number in found[1].replace(",", " ").split())


def _source(name: str, model: bytes, spec: ModelSpec, header: str) -> str:
    # JSON may write a slash with a backslash before it, which keeps the comment open.
    text = json.dumps(json.loads(spec.to_json()), sort_keys=True).replace("/", "\\/")
    data = textwrap.fill(
        ", ".join(f"0x{byte:02x}" for byte in model),
        96,
        initial_indent="    ",
        subsequent_indent="    ",
    )
    return "\n".join(
        [
            f"/* {name}: written by hcr-edge; do not edit.",
            " *",
            f" * hcr_edge.model_spec {text}",
            " */",
            f'#include "{header}"',
            "",
            "/* TensorFlow Lite Micro reads the flatbuffer where it lies. */",
            "#if defined(__cplusplus)",
            "#define HCR_ALIGNED alignas(16)",
            "#else",
            "#define HCR_ALIGNED __attribute__((aligned(16)))",
            "#endif",
            "",
            f"HCR_ALIGNED const uint8_t {name}_model[{name.upper()}_MODEL_BYTES] = {{",
            data,
            "};",
            "",
            *_string_array(
                f"{name}_labels", name, ((label.text, label.name) for label in spec.labels)
            ),
            *_string_array(f"{name}_names", name, ((label.name, "") for label in spec.labels)),
        ]
    )


def _string_array(array: str, name: str, texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"const char *const {array}[{name.upper()}_CLASSES] = {{"
    for text, remark in texts:
        comment = f" /* {re.sub('[^ -.0-~]', '?', remark)} */" if remark else ""
        yield f"    {_c_string(text)},{comment}"
    yield "};"
    yield ""


def _c_string(text: str) -> str:
    """UTF-8, with octal escapes, which end after three digits, beyond plain letters."""
    return (
        '"'
        + "".join(
            chr(byte)
            if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in " -_.")
            else f"\\{byte:03o}"
            for byte in text.encode()
        )
        + '"'
    )


def _c_float(value: float) -> str:
    """Shortest literal of a float32; C wants a point or an exponent before the ``f``.

    >>> _c_float(1.0), _c_float(1 / 255), _c_float(1e-9)
    ('1.0f', '0.003921569f', '1e-09f')
    """
    return f"{np.float32(value)!s}f"


def _header(name: str, model: bytes, spec: ModelSpec, graph: Graph, arena: Arena) -> str:
    macro = name.upper()
    arena_text = textwrap.wrap(f"Bytes of the interpreter's arena, {arena.how}.", 92)
    return "\n".join(
        [
            f"/* {name}: written by hcr-edge; do not edit. */",
            f"#ifndef {macro}_H",
            f"#define {macro}_H",
            "",
            "#include <stdint.h>",
            "",
            *("/* " + "\n * ".join(arena_text) + " */").splitlines(),
            f"#define {macro}_ARENA_BYTES {arena.size}u",
            "",
            *_numbers(name, model, spec),
            "",
            *_registration(macro, graph),
            "",
            *_declarations(name, macro),
            "",
            "#endif",
            "",
        ]
    )


def _numbers(name: str, model: bytes, spec: ModelSpec) -> Iterator[str]:
    """What turns pixels into the input, and the output into an answer."""
    given, gives = read_edges(model)
    shape, macro = spec.input, name.upper()
    numbers = {
        "MODEL_BYTES": f"{len(model)}u",
        "CLASSES": str(len(spec.labels)),
        "HEIGHT": str(shape.height),
        "WIDTH": str(shape.width),
        "CHANNELS": str(shape.channels),
        "INPUT_SCALE": _c_float(given.scale),
        "INPUT_ZERO_POINT": f"({given.zero_point})",
        "OUTPUT_SCALE": _c_float(gives.scale),
        "OUTPUT_ZERO_POINT": f"({gives.zero_point})",
        "OUTPUT_IS_LOGITS": str(int(spec.output == "logits")),
        "TEMPERATURE": _c_float(spec.temperature),
        "MIN_CONFIDENCE": _c_float(spec.rejection.min_confidence),
    }
    yield "/* A preprocessed pixel p goes in as round(p / INPUT_SCALE) + INPUT_ZERO_POINT; an"
    yield " * output q is (q - OUTPUT_ZERO_POINT) * OUTPUT_SCALE: logits, which are divided by"
    yield " * TEMPERATURE before softmax, or probabilities. Below MIN_CONFIDENCE none counts. */"
    yield f"typedef {_C_TYPES[given.dtype]} {name}_input_t;"
    yield f"typedef {_C_TYPES[gives.dtype]} {name}_output_t;"
    yield from (f"#define {macro}_{key} {value}" for key, value in numbers.items())


def _registration(macro: str, graph: Graph) -> Iterator[str]:
    yield "/* For tflite::MicroMutableOpResolver: how many operators, and which. */"
    yield f"#define {macro}_OPERATORS {len(graph.operators)}"
    yield f"#define {macro}_ADD_OPERATORS(resolver) \\"
    yield "    do { \\"
    yield from (f"        (resolver).{operator}(); \\" for operator in graph.operators)
    yield "    } while (0)"


def _declarations(name: str, macro: str) -> Iterator[str]:
    yield "#ifdef __cplusplus"
    yield 'extern "C" {'
    yield "#endif"
    yield ""
    yield f"extern const uint8_t {name}_model[{macro}_MODEL_BYTES];"
    yield "/* UTF-8 text of each class, in the order of the outputs, and its name. */"
    yield f"extern const char *const {name}_labels[{macro}_CLASSES];"
    yield f"extern const char *const {name}_names[{macro}_CLASSES];"
    yield ""
    yield "#ifdef __cplusplus"
    yield "}"
    yield "#endif"


def _micro_runtime() -> Any:
    try:
        from tflite_micro import runtime
    except ImportError:
        return None
    return runtime


def _interpreter(model: bytes, arena: int | None = None) -> Any:
    said: list[str] = []
    try:
        with quiet(tell=False) as said:
            return _micro_runtime().Interpreter.from_bytes(model, arena_size=arena)
    except RuntimeError as error:
        reason = said[0] if said else error
        raise ModelError(f"TensorFlow Lite Micro cannot run the model ({reason})") from error


def _fits(model: bytes, arena: int) -> bool:
    with quiet():  # it says what is missing, each time
        try:
            interpreter = _micro_runtime().Interpreter.from_bytes(model, arena_size=arena)
            details = interpreter.get_input_details(0)
            interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
            interpreter.invoke()
        except RuntimeError:
            return False
    return True


def _micro_invoke(model: bytes) -> Any:
    interpreter = _interpreter(model)

    def invoke(image: NDArray[Any]) -> NDArray[Any]:
        interpreter.set_input(image, 0)
        interpreter.invoke()
        return np.array(interpreter.get_output(0))

    return invoke


def _reference_invoke(model: bytes) -> Any:
    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    gives = interpreter.get_output_details()[0]["index"]

    def invoke(image: NDArray[Any]) -> NDArray[Any]:
        interpreter.set_tensor(given, image)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(gives))

    return invoke
