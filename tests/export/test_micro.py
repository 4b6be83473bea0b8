"""The C array: compiled by a C and a C++ compiler, and run by the microcontroller's interpreter."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from hcr_export import micro
from hcr_export._tensorflow import tf
from hcr_export.artifacts import choose
from hcr_export.conversion import Conversion, artifact_bytes, open_artifact
from hcr_export.flatbuffer import Edge, read_graph
from hcr_export.plan import plan
from hcr_runtime import Label, ModelError, SpecError, preprocess

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
PROGRAM = r"""
#include <stdio.h>
#include "tiny-int8.h"

int main(void) {
    unsigned i;
    printf("{\"aligned\": %d, \"bytes\": [", ((uintptr_t)tiny_int8_model % 16) == 0);
    for (i = 0; i < TINY_INT8_MODEL_BYTES; i++)
        printf("%s%d", i ? "," : "", tiny_int8_model[i]);
    printf("], \"labels\": [");
    for (i = 0; i < TINY_INT8_CLASSES; i++)
        printf("%s\"%s\"", i ? "," : "", tiny_int8_labels[i]);
    printf("], \"names\": [");
    for (i = 0; i < TINY_INT8_CLASSES; i++)
        printf("%s\"%s\"", i ? "," : "", tiny_int8_names[i]);
    printf("], \"input\": [%.9g, %d, %d], \"arena\": %u, \"temperature\": %g}",
           (double)TINY_INT8_INPUT_SCALE, TINY_INT8_INPUT_ZERO_POINT,
           (int)sizeof(tiny_int8_input_t), TINY_INT8_ARENA_BYTES, (double)TINY_INT8_TEMPERATURE);
    return 0;
}
"""


@pytest.fixture(scope="module")
def array(bundle) -> Path:
    return bundle.path / "tiny-int8.c"


@pytest.fixture(scope="module")
def flatbuffer(source, calibration) -> bytes:
    tensors = np.stack([preprocess(image, source.spec) for image in calibration.images])
    (planned,) = plan(choose(["int8.c"])).artifacts
    return Conversion(source, tensors).flatbuffer(planned)


def _compiler(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.mark.parametrize(
    ("compiler", "standard"), [("gcc", "-std=c99"), ("gcc", "-std=c17"), ("clang", "-std=c99")]
)
def test_compiles_as_c_and_holds_the_model(
    compiler: str, standard: str, array: Path, flatbuffer: bytes, bundle, tmp_path: Path
) -> None:
    program = tmp_path / "main.c"
    program.write_text(PROGRAM, encoding="utf-8")
    files = (str(program), str(array), "-I", str(array.parent), "-o", str(tmp_path / "main"))
    subprocess.run([_compiler(compiler), standard, *WARNINGS, *files], check=True)
    answer = subprocess.run([tmp_path / "main"], check=True, capture_output=True)
    held = json.loads(answer.stdout.decode("utf-8"))
    assert bytes(held["bytes"]) == flatbuffer
    assert held["aligned"]
    spec = bundle.source.spec
    assert tuple(held["labels"]) == spec.texts
    assert held["names"] == [label.name for label in spec.labels]
    assert held["temperature"] == spec.temperature
    (entry,) = (i for i in bundle_files(bundle) if i["file"] == array.name)
    assert held["arena"] == entry["arena_bytes"]
    given = Interpreter(model_content=flatbuffer).get_input_details()[0]
    assert held["input"] == [pytest.approx(given["quantization"][0]), given["quantization"][1], 1]


def bundle_files(bundle) -> list[dict]:
    return json.loads((bundle.path / "manifest.json").read_text(encoding="utf-8"))["files"]


def test_compiles_as_cpp_and_registers_its_operators(array: Path, bundle, tmp_path: Path) -> None:
    """As a sketch does: every operator of the graph, each once, as many as the header says."""
    (entry,) = (item for item in bundle_files(bundle) if item["file"] == array.name)
    assert entry["operators"] == ["AddConv2D", "AddFullyConnected", "AddReshape"]
    methods = " ".join(f"void {name}() {{ ++count; }}" for name in entry["operators"])
    program = tmp_path / "main.cpp"
    program.write_text(
        '#include "tiny-int8.h"\n'
        f"struct Resolver {{ int count = 0; {methods} }};\n"
        "int main() { Resolver resolver; TINY_INT8_ADD_OPERATORS(resolver);\n"
        "  return resolver.count == TINY_INT8_OPERATORS && tiny_int8_model[4] == 'T' ? 0 : 1; }\n",
        encoding="utf-8",
    )
    files = ("-x", "c++", str(program), str(array), "-I", str(array.parent))
    compiler = _compiler("g++")
    command = [compiler, "-std=c++11", *WARNINGS, *files, "-o", str(tmp_path / "main")]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_microcontroller_answers_as_the_reference_kernels(
    array: Path, flatbuffer: bytes, bundle, drawn
) -> None:
    pytest.importorskip("tflite_micro")
    engine = open_artifact(array)
    assert engine.name == "tflite-micro"
    reference = Interpreter(
        model_content=flatbuffer, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    reference.allocate_tensors()
    given, gives = reference.get_input_details()[0], reference.get_output_details()[0]
    (scale, zero), (out_scale, out_zero) = given["quantization"], gives["quantization"]
    for image in drawn.images:
        tensor = preprocess(image, bundle.source.spec)[None]
        steps = np.clip(np.rint(tensor / scale) + zero, -128, 127).astype(np.int8)
        reference.set_tensor(given["index"], steps)
        reference.invoke()
        expected = (reference.get_tensor(gives["index"]).astype(np.float32) - out_zero) * out_scale
        answer = engine.run(tensor)
        # The two round a fully connected layer's sums in other places.
        assert np.abs(answer - expected).max() <= 1.001 * out_scale
        assert answer.argmax() == expected.argmax()


def test_arena_is_the_smallest_that_is_enough(flatbuffer: bytes) -> None:
    runtime = pytest.importorskip("tflite_micro").runtime
    arena = micro.measure_arena(flatbuffer)
    assert arena.how.startswith("measured")

    def runs(size: int) -> bool:
        try:
            interpreter = runtime.Interpreter.from_bytes(flatbuffer, arena_size=size)
            interpreter.set_input(np.zeros((1, 32, 32, 1), np.int8), 0)
            interpreter.invoke()
        except RuntimeError:
            return False
        return True

    assert runs(arena.size)
    assert not runs(arena.size - 32)
    # What is said without the interpreter is enough, and not much too much.
    assert arena.size <= read_graph(flatbuffer).arena_estimate() <= 1.5 * arena.size


def test_without_the_interpreter_it_says_so(
    array: Path, flatbuffer: bytes, bundle, drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = np.stack([preprocess(image, bundle.source.spec) for image in drawn.images[:3]])
    before = open_artifact(array).run(tensors)
    monkeypatch.setattr(micro, "_micro_runtime", lambda: None)
    arena = micro.measure_arena(flatbuffer)
    assert arena.how.startswith("estimated")
    assert arena.size == read_graph(flatbuffer).arena_estimate()
    engine = open_artifact(array)
    assert engine.name == "litert (reference kernels)"
    assert np.abs(engine.run(tensors) - before).max() < 0.02 * np.ptp(before)


def test_size_is_that_of_the_flash(array: Path, flatbuffer: bytes) -> None:
    assert artifact_bytes(array) == len(flatbuffer) < array.stat().st_size / 5


@pytest.mark.parametrize(("text", "error"), [("", SpecError), ("int x;\n", SpecError)])
def test_c_that_is_no_model(text: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=r"x\.c has no description"):
        open_artifact(path)


def test_operator_that_the_interpreter_does_not_know(capfd: pytest.CaptureFixture[str]) -> None:
    """It is told in the interpreter's words, not as an arena that is never large enough."""
    pytest.importorskip("tflite_micro")
    function = tf.function(
        tf.nn.local_response_normalization,
        input_signature=[tf.TensorSpec((1, 4, 4, 8), tf.float32)],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    with pytest.raises(ModelError, match=r"cannot run the model \(Didn't find op"):
        micro.measure_arena(converter.convert())
    assert "find op" not in capfd.readouterr().err, "once, in the error"


def test_whole_scales_are_literals_too(
    flatbuffer: bytes, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a network that takes pixels of 0 to 255: C does not know ``1f``."""
    edge = Edge(np.dtype(np.int8), 1.0, -128)
    monkeypatch.setattr(micro, "read_edges", lambda _: (edge, edge))
    micro.write(flatbuffer, spec, tmp_path / "whole.c", tmp_path / "whole.h")
    program = tmp_path / "main.c"
    program.write_text(
        '#include "whole.h"\nint main(void) { return WHOLE_INPUT_SCALE != WHOLE_OUTPUT_SCALE; }\n',
        encoding="utf-8",
    )
    command = [_compiler("gcc"), "-std=c99", *WARNINGS, str(program), "-o", str(tmp_path / "main")]
    subprocess.run(command, check=True)
    subprocess.run([tmp_path / "main"], check=True)


@pytest.mark.parametrize(
    "label",
    ['"', "\\", "*/", "??/", "ﷺ", "1", "a b", "%s"],
)
def test_any_label_is_written_safely(label: str, flatbuffer: bytes, spec, tmp_path: Path) -> None:
    """What would end a string, a comment or a line ends neither."""
    odd = replace(spec, labels=(Label(label, label), *spec.labels[1:]))
    micro.write(flatbuffer, odd, tmp_path / "3 odd*.c", tmp_path / "odd.h")
    source = tmp_path / "3 odd*.c"
    command = [_compiler("gcc"), "-std=c99", *WARNINGS, "-c", str(source), "-o", "/dev/null"]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert micro.MicroEngine(source).spec.labels[0].text == label
