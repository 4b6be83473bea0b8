"""Errors of the runtime: each says what was received, what is allowed and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class HcrError(Exception):
    """Base of every error that the three packages raise for a caller's mistake.

    Args:
        message: What went wrong, one line, naming what was received.
        allowed: What would have been accepted.
        hint: What to do about it.

    >>> print(HcrError("size is 0", allowed="1 or more", hint="set size"))
    size is 0; allowed: 1 or more; set size
    """

    def __init__(self, message: str, *, allowed: str = "", hint: str = "") -> None:
        self.message = message
        self.allowed = allowed
        self.hint = hint
        parts = [message, f"allowed: {allowed}" if allowed else "", hint]
        super().__init__("; ".join(part for part in parts if part))


class ImageError(HcrError):
    """An image that cannot be read: no image, cut short, empty, or of an unknown form.

    >>> from hcr_runtime import to_gray
    >>> to_gray(b"hello")
    Traceback (most recent call last):
    hcr_runtime.errors.ImageError: the image is no image, or cut short; allowed: PNG, ...
    """


class ModelError(HcrError):
    """A model file that is missing, damaged or unknown.

    >>> from hcr_runtime import Classifier
    >>> Classifier.load("arabic-leters")
    Traceback (most recent call last):
    hcr_runtime.errors.ModelError: there is no model 'arabic-leters'; ...did you mean arabic-l...
    """


class SpecError(HcrError):
    """A `ModelSpec` that is missing, malformed or made by a newer version.

    >>> from hcr_runtime import ModelSpec
    >>> ModelSpec.from_json("{}")
    Traceback (most recent call last):
    hcr_runtime.errors.SpecError: the model's description has schema version None; allowed: 1; ...
    """


class EngineError(HcrError):
    """An inference engine that is missing, or that refuses the model.

    >>> from hcr_runtime import Classifier
    >>> Classifier.load("arabic-letters", threads=0)
    Traceback (most recent call last):
    hcr_runtime.errors.EngineError: threads is 0; allowed: a whole number from 1 to 1024
    """


class CameraError(HcrError):
    """A camera or video that cannot be opened or gives no frames.

    >>> from hcr_runtime import frames
    >>> frames("absent.avi")
    Traceback (most recent call last):
    hcr_runtime.errors.CameraError: there is no video absent.avi; allowed: a camera's number, ...
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the entries of `known` that look most like `name`, for an error's `allowed`.

    >>> nearest("arabic-leters", ["arabic-letters", "persian-digits"])
    'arabic-letters, persian-digits (did you mean arabic-letters?)'
    """
    import difflib  # when something is wrong, and not at every start

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    listing = ", ".join(names) or "none"
    return f"{listing} (did you mean {' or '.join(close)}?)" if close else listing
