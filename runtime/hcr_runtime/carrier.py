"""Reading the `ModelSpec` that a model file carries inside itself.

ONNX keeps it in ``metadata_props`` (onnx.proto3). A TFLite file is a flatbuffer, to whose end a
ZIP archive with one entry is appended: LiteRT ignores what follows the flatbuffer, and ZIP
readers look at a file's end. A ``.keras`` file is a ZIP archive already and gets one more entry.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from hcr_runtime.errors import ModelError, SpecError
from hcr_runtime.spec import ModelSpec

SPEC_KEY = "hcr_edge.model_spec"
SPEC_ENTRY = "hcr_edge/model_spec.json"
MAX_SPEC_BYTES = 1 << 20

NO_SPEC_HINT = "only files that hcr-edge wrote carry one; export the model again"


def read_zip_spec(path: Path) -> ModelSpec:
    """Read the description inside a ``.tflite`` or ``.keras`` file.

    Raises:
        SpecError: There is none, or it is malformed.
        ModelError: The file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(SPEC_ENTRY)
            if entry.file_size > MAX_SPEC_BYTES:
                raise SpecError(
                    f"{path.name}: the description inside takes {entry.file_size} bytes",
                    allowed=f"{MAX_SPEC_BYTES} bytes",
                )
            with archive.open(entry) as stream:
                text = stream.read(MAX_SPEC_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except KeyError as error:
        raise SpecError(f"{path.name} has no description inside", hint=NO_SPEC_HINT) from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        UnicodeDecodeError,
    ) as error:
        raise SpecError(
            f"{path.name} is cut short, or has no description inside", hint=NO_SPEC_HINT
        ) from error
    return ModelSpec.from_json(text)
