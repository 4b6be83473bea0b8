"""Which artifacts suit which device, and why."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hcr_export.artifacts import KINDS, Kind, choose
from hcr_runtime import ModelError
from hcr_runtime.errors import nearest


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of device.

    Attributes:
        title: For people.
        reasons: Name of each artifact that suits it, the first choice first: why.
    """

    title: str
    reasons: Mapping[str, str]


TARGETS = {
    "raspberry-pi": Target(
        "Raspberry Pi 3 to 5 and similar arm64 boards, with Linux",
        {
            "int8.onnx": "runs on the runtime's own onnxruntime, with the answers it has on x86-64",
            "int8.tflite": "where LiteRT is installed already",
            "float32.onnx": "what int8 is compared with, should a reading be doubted",
        },
    ),
    "android": Target(
        "telephones and tablets with Android",
        {
            "int8.tflite": "full integer: LiteRT on the CPU, and DSPs and NPUs behind delegates",
            "float16.tflite": "for the GPU delegate, which computes in float16",
            "int8.ort": "with the mobile build of onnxruntime, reduced to this model's operators",
        },
    ),
    "browser": Target(
        "browsers and Node, with onnxruntime-web",
        {
            "int8.onnx": "a quarter of the download",
            "float16.onnx": "half of the download, with the arithmetic of float32",
            "float32.onnx": "for engines that refuse QDQ",
        },
    ),
    "microcontroller": Target(
        "Cortex-M, ESP32 and similar, without an operating system",
        {
            "int8.c": "a C array for TensorFlow Lite Micro, with its labels and its arena's size",
            "int8.tflite": "the same flatbuffer as a file, for tools that take one",
        },
    ),
    "desktop": Target(
        "x86-64 machines with Linux, Windows or macOS",
        {
            "int8.onnx": "a quarter of the size; mostly half as fast again on processors with VNNI",
            "float32.onnx": "exact, and about as fast where the processor has no VNNI",
            "float32.xml": "where OpenVINO is used already",
        },
    ),
}
TARGETS["all"] = Target(
    "every artifact there is",
    {
        kind.name: next(
            (t.reasons[kind.name] for t in TARGETS.values() if kind.name in t.reasons), ""
        )
        or kind.description
        for kind in KINDS
    },
)


def target_kinds(name: str) -> tuple[Kind, ...]:
    """Return the artifacts for a target.

    Raises:
        ModelError: The target is unknown.

    >>> [kind.name for kind in target_kinds("microcontroller")]
    ['int8.tflite', 'int8.c']
    """
    if name not in TARGETS:
        raise ModelError(f"there is no target {name!r}", allowed=nearest(name, TARGETS))
    return choose(TARGETS[name].reasons)


def installed(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Return those of `kinds` whose package, where it is an extra, is installed here."""
    return tuple(kind for kind in kinds if not kind.module or importlib.util.find_spec(kind.module))
