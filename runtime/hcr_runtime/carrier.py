"""Reading the `ModelSpec` that a model file carries inside itself.

ONNX keeps it in ``metadata_props`` (onnx.proto3). A TFLite file is a flatbuffer, to whose end a
ZIP archive with one entry is appended: LiteRT ignores what follows the flatbuffer, and ZIP
readers look at a file's end. A ``.keras`` file is a ZIP archive already and gets one more entry.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from hcr_runtime.errors import ModelError, SpecError
from hcr_runtime.spec import ModelSpec

SPEC_KEY = "hcr_edge.model_spec"
SPEC_ENTRY = "hcr_edge/model_spec.json"
MAX_SPEC_BYTES = 1 << 20

NO_SPEC_HINT = "only files that hcr-edge wrote carry one; export the model again"

# onnx.proto3: ModelProto.metadata_props, and the fields of its StringStringEntryProto.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
# Wire types of protobuf: a varint, 8 bytes, a length and so many bytes, 4 bytes.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_model(path: Path) -> bytes:
    """Read a model file; raises `ModelError` where it cannot be."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def read_zip_spec(path: Path) -> ModelSpec:
    """Read the description inside a ``.tflite`` or ``.keras`` file.

    Raises:
        SpecError: There is none, or it is malformed.
        ModelError: The file cannot be read.
    """
    return zip_spec(read_model(path), path.name)


def zip_spec(data: bytes, name: str) -> ModelSpec:
    """Read the description inside the bytes of a ``.tflite`` or ``.keras`` file called `name`.

    Raises:
        SpecError: There is none, or it is malformed.
    """
    # Here, because ONNX files do without: they are a tenth of the runtime's cold start.
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = archive.getinfo(SPEC_ENTRY)
            _check_length(entry.file_size, name)
            with archive.open(entry) as stream:
                # The entry may hold more than it claims.
                text = stream.read(MAX_SPEC_BYTES + 1)
    except KeyError as error:
        raise SpecError(f"{name} has no description inside", hint=NO_SPEC_HINT) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise SpecError(
            f"{name} is cut short, or has no description inside", hint=NO_SPEC_HINT
        ) from error
    _check_length(len(text), name)
    return ModelSpec.from_json(text)


def onnx_spec(data: bytes, name: str) -> ModelSpec:
    """Read the description inside the bytes of an ONNX file called `name`.

    Raises:
        ModelError: It is cut short, or no ONNX model.
        SpecError: There is no description, or it is malformed.
    """
    view = memoryview(data)
    try:
        if not data:
            raise ValueError("it is empty")
        for field, value in _fields(view):
            if field == _METADATA_PROPS:
                entry = dict(_fields(value))
                if bytes(entry.get(_KEY, b"")) == SPEC_KEY.encode():
                    text = entry.get(_VALUE, view[:0])
                    _check_length(len(text), name)
                    return ModelSpec.from_json(bytes(text))
    except ValueError as error:
        raise ModelError(f"{name} is cut short, or no ONNX model ({error})") from error
    raise SpecError(f"{name} has no description inside", hint=NO_SPEC_HINT)


def metadata_spec(metadata: Mapping[str, str], name: str) -> ModelSpec:
    """Read the description in the metadata that onnxruntime tells of a file called `name`.

    Raises:
        SpecError: There is no description, or it is malformed.
    """
    text = metadata.get(SPEC_KEY)
    if text is None:
        raise SpecError(f"{name} has no description inside", hint=NO_SPEC_HINT)
    _check_length(len(text), name)
    return ModelSpec.from_json(text)


def _check_length(length: int, name: str) -> None:
    if length > MAX_SPEC_BYTES:
        raise SpecError(
            f"{name}: the description inside takes {length} bytes",
            allowed=f"{MAX_SPEC_BYTES} bytes",
        )


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field of a protobuf message that holds bytes; skips the others.

    Raises:
        ValueError: It is no protobuf message.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        wire = tag & 7
        if wire == _VARINT:
            _, place = _varint(message, place)
            continue
        if wire == _BYTES:
            length, place = _varint(message, place)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"a field of wire type {wire}")
        if length > len(message) - place:
            raise ValueError("a field beyond the end")
        if wire == _BYTES:
            yield tag >> 3, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a number without end")
