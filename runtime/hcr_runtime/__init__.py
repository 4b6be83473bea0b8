"""Reads handwritten characters on a device: numpy, OpenCV and onnxruntime, nothing else.

from hcr_runtime import Classifier

classifier = Classifier.load("arabic-letters")
prediction = classifier.classify("letter.png")
print(prediction.label, prediction.confidence)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hcr_runtime._version import __version__
from hcr_runtime.classifier import Classifier
from hcr_runtime.errors import (
    CameraError,
    EngineError,
    HcrError,
    ImageError,
    ModelError,
    SpecError,
)
from hcr_runtime.image import to_bgr, to_gray
from hcr_runtime.limits import Limits
from hcr_runtime.models import shipped_models
from hcr_runtime.prediction import Candidate, Prediction, accepts, probabilities
from hcr_runtime.preprocess import preprocess
from hcr_runtime.spec import (
    InputSpec,
    Label,
    ModelSpec,
    PreprocessSpec,
    Provenance,
    RejectionSpec,
)

if TYPE_CHECKING:
    from hcr_runtime.camera import frames
    from hcr_runtime.frame import Frame
    from hcr_runtime.live import LiveSource
    from hcr_runtime.page import ReadGlyph, read_page
    from hcr_runtime.segment import Box, Glyph, find_glyphs
    from hcr_runtime.single_glyph import crop_glyph, largest_glyph
    from hcr_runtime.watching import Event, Watcher, watch

__all__ = [
    "Box",
    "CameraError",
    "Candidate",
    "Classifier",
    "EngineError",
    "Event",
    "Frame",
    "Glyph",
    "HcrError",
    "ImageError",
    "InputSpec",
    "Label",
    "Limits",
    "LiveSource",
    "ModelError",
    "ModelSpec",
    "Prediction",
    "PreprocessSpec",
    "Provenance",
    "ReadGlyph",
    "RejectionSpec",
    "SpecError",
    "Watcher",
    "__version__",
    "accepts",
    "crop_glyph",
    "find_glyphs",
    "frames",
    "largest_glyph",
    "preprocess",
    "probabilities",
    "read_page",
    "shipped_models",
    "to_bgr",
    "to_gray",
    "watch",
]

# What reads single letters starts without cameras and pages; the first use of a name loads them.
_LATER = {
    "hcr_runtime.camera": ("frames",),
    "hcr_runtime.frame": ("Frame",),
    "hcr_runtime.live": ("LiveSource",),
    "hcr_runtime.page": ("ReadGlyph", "read_page"),
    "hcr_runtime.segment": ("Box", "Glyph", "find_glyphs"),
    "hcr_runtime.single_glyph": ("crop_glyph", "largest_glyph"),
    "hcr_runtime.watching": ("Event", "Watcher", "watch"),
}


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
