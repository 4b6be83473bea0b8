from __future__ import annotations

import pytest

from hcr_export.artifacts import EXACT, KINDS, Limits, choose
from hcr_runtime import ModelError

# The six that a bundle holds, by format and quantization.
NAMES = {
    "float32.tflite",
    "float16.tflite",
    "dynamic-int8.tflite",
    "int8.tflite",
    "float32.onnx",
    "int8.onnx",
}


def test_a_bundle_holds_six_kinds_with_names_of_their_own() -> None:
    assert [kind.name for kind in choose([])] == [kind.name for kind in KINDS]
    assert {kind.name for kind in KINDS} == NAMES
    assert len({kind.file_name("m") for kind in KINDS}) == len(NAMES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_is_named_after_what_it_is(kind) -> None:
    assert kind.file_name("arabic-letters") == f"arabic-letters-{kind.quantization}.{kind.format}"
    # The engine's pip name and version, for people who must install it.
    distribution = {"litert": "ai-edge-litert", "onnxruntime": "onnxruntime"}[kind.engine]
    assert kind.min_engine.startswith(f"{distribution}>=")


def test_onnxruntime_that_dies_on_a_raspberry_pi_is_not_allowed() -> None:
    assert {kind.min_engine for kind in KINDS if kind.format == "onnx"} == {"onnxruntime>=1.22"}


def test_choice_keeps_the_usual_order_and_counts_each_once() -> None:
    chosen = choose(["int8.onnx", "float32.tflite", "int8.onnx"])
    assert [kind.name for kind in chosen] == ["float32.tflite", "int8.onnx"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("int8.onxx", "int8.onnx"),  # a slip
        ("int8", "int8."),  # the format forgotten
    ],
)
def test_unknown_kind_names_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ModelError) as caught:
        choose([name])
    assert repr(name) in caught.value.message
    assert f"did you mean {meant}" in caught.value.allowed


def test_default_limits_are_the_promised_ones() -> None:
    assert Limits() == Limits(max_drop=0.3, min_agreement=0.995, max_difference=None)
    assert Limits(max_drop=0.0, min_agreement=1.0, max_difference=1e-4) == EXACT
