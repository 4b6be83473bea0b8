from __future__ import annotations

import pytest

from hcr_export.artifacts import EXACT, KINDS, USUAL, Limits, choose
from hcr_runtime import ModelError

# The six that a bundle holds where nothing else is asked for.
NAMES = {
    "float32.tflite",
    "float16.tflite",
    "dynamic-int8.tflite",
    "int8.tflite",
    "float32.onnx",
    "int8.onnx",
}


def test_a_bundle_holds_six_kinds_by_default() -> None:
    assert choose([]) == USUAL
    assert {kind.name for kind in USUAL} == NAMES


def test_every_file_of_a_bundle_has_a_name_of_its_own() -> None:
    names = [name for kind in KINDS for name in (kind.file_name("m"), *kind.part_names("m"))]
    assert len(names) == len(set(names))
    assert "m-int8.h" in names


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_file_is_named_after_what_it_is(kind) -> None:
    assert kind.file_name("arabic-letters") == f"arabic-letters-{kind.quantization}.{kind.format}"


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
