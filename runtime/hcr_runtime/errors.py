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
    """An image that cannot be read: no image, cut short, empty, or of an unknown form."""


class ModelError(HcrError):
    """A model file that is missing, damaged or unknown."""


class SpecError(HcrError):
    """A `ModelSpec` that is missing, malformed or made by a newer version."""


class EngineError(HcrError):
    """An inference engine that is missing, or that refuses the model."""


class CameraError(HcrError):
    """A camera or video that cannot be opened or gives no frames."""


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
