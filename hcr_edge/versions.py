"""Versions of what takes part in training and export."""

from __future__ import annotations

from importlib import metadata


def library_versions() -> dict[str, str]:
    """Name and version of each library that is installed.

    >>> "numpy" in library_versions()
    True
    """
    names = (
        "hcr-edge-runtime",
        "keras",
        "tensorflow",
        "numpy",
        "opencv-python",
        "opencv-python-headless",
        "onnxruntime",
    )
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
