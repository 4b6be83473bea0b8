"""What an export will make, before anything is made."""

from __future__ import annotations

import pytest

from hcr_export.artifacts import KINDS, Kind, choose
from hcr_export.plan import Border, plan
from hcr_export.quantization import QuantizationRecipe
from hcr_export.targets import TARGETS, installed, target_kinds
from hcr_runtime import ModelError
from hcr_runtime.spec import InputSpec

EVERYTHING = plan(KINDS, Border("uint8", "NCHW", 4), QuantizationRecipe("tensor", "int8"))


def _input(name: str) -> InputSpec:
    (planned,) = (item for item in EVERYTHING.artifacts if item.kind.name == name)
    return planned.input_spec(InputSpec(28, 28, 1))


@pytest.mark.parametrize(
    ("name", "dtype", "layout"),
    [
        ("float32.onnx", "uint8", "NCHW"),
        ("int8.ort", "uint8", "NCHW"),
        ("float32.xml", "uint8", "NCHW"),
        # TFLite has NHWC alone; what is not full integer normalises inside.
        ("float32.tflite", "uint8", "NHWC"),
        ("dynamic-int8.tflite", "uint8", "NHWC"),
        # Full integer: the border carries its own scale.
        ("int8.tflite", "float32", "NHWC"),
        ("int16x8.tflite", "float32", "NHWC"),
        ("int8.c", "float32", "NHWC"),
    ],
)
def test_each_format_takes_what_it_can(name: str, dtype: str, layout: str) -> None:
    assert _input(name) == InputSpec(28, 28, 1, dtype, layout)


def test_description_names_what_sets_a_file_apart() -> None:
    said = {item.kind.name: item.description for item in EVERYTHING.artifacts}
    assert said["int8.onnx"] == (
        "QDQ, int8 activations, int8 per-tensor weights of 7 bits, minmax calibration,"
        " uint8 input, NCHW, batch 4"
    )
    assert said["int8.tflite"] == ("full integer, uint8 input and output, int8 per-tensor weights")
    assert "uint8" not in said["int16x8.tflite"]


def test_tflite_is_not_said_to_follow_what_it_cannot() -> None:
    asked = QuantizationRecipe(calibration="entropy", exclude=("conv_1",))
    (tflite, onnx) = plan(choose(["int8.tflite", "int8.onnx"]), recipe=asked).artifacts
    assert tflite.recipe == QuantizationRecipe()
    assert onnx.recipe == asked
    assert "conv_1 in float32" in onnx.description


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_says_why(name: str) -> None:
    kinds = target_kinds(name)
    planned = plan(kinds, targets=[name])
    assert {kind.name for kind in kinds} == set(TARGETS[name].reasons) == set(planned.reasons)
    assert all(why.startswith(f"{name}: ") for why in planned.reasons.values())


def test_all_is_all() -> None:
    assert target_kinds("all") == KINDS


def test_two_targets_share_a_file() -> None:
    kinds = choose([k.name for name in ("browser", "desktop") for k in target_kinds(name)])
    both = plan(kinds, targets=["browser", "desktop"])
    assert both.reasons["int8.onnx"].startswith("browser: ")
    assert "; desktop: " in both.reasons["int8.onnx"]
    assert "desktop" not in both.reasons["float16.onnx"]


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean raspberry-pi"):
        target_kinds("raspberrypi")


def test_kinds_whose_package_is_missing_are_known() -> None:
    here = Kind("onnx", "float32", "onnxruntime", "")
    absent = Kind("xml", "float32", "openvino", "", module="no_such_package")
    assert installed([here, absent]) == (here,)
